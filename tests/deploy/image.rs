//! What the image is made of.

use std::collections::BTreeSet;

use laban_tests::Outcome;

use crate::files::{compose, is_exact, is_nobody, is_own, read};
use crate::rig::project;

/// The Dockerfile's instructions, with what was broken into lines made one.
fn instructions() -> Outcome<Vec<String>> {
    let text = read("deploy/Dockerfile")?.replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

/// The words behind an instruction of this name, of each.
fn of(name: &str) -> Outcome<Vec<Vec<String>>> {
    let all = instructions()?;
    let words = |line: &String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    Ok(all.iter().map(words).filter(|words| words[0] == name).map(|words| words[1..].to_vec()).collect())
}

#[test]
fn what_it_copies_is_there_and_not_ignored() -> Outcome {
    let ignore = read(".dockerignore")?;
    let let_in: BTreeSet<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let mut copied = BTreeSet::new();
    for words in of("COPY")? {
        if words[0].starts_with("--from=") {
            continue;
        }
        copied.extend(words[..words.len() - 1].to_vec());
    }
    assert!(!copied.is_empty());
    for path in &copied {
        assert!(project(path).exists(), "{path} is not there");
        assert!(let_in.contains(path.as_str()), "{path} is ignored");
    }
    // What crates have compiled into them, from elsewhere.
    for path in ["deploy/local/lib.sh", "deploy/local/jaeger.yaml"] {
        assert!(copied.iter().any(|folder| path.starts_with(folder.as_str())), "{path} is not copied");
    }
    Ok(())
}

#[test]
fn it_has_the_programs_that_are_deployed_and_no_others() -> Outcome {
    let compose = compose()?;
    let own = compose.containers.values().filter(|container| is_own(container));
    let deployed: BTreeSet<&str> =
        own.filter_map(|container| Some(container.command.first()?.as_str())).collect();
    let run = of("RUN")?.concat().join(" ");
    let copied = run.split("&& cp ").nth(1).and_then(|rest| rest.strip_suffix(" /image/usr/local/bin/"));
    let copied: BTreeSet<&str> = copied.ok_or("what is copied")?.split(' ').collect();
    assert_eq!(copied, deployed);
    for container in compose.containers.values().filter(|container| is_own(container)) {
        let build = container.build.as_ref().ok_or("a build")?;
        let context = compose.path(&build.context);
        assert!(
            context.join("Cargo.lock").is_file() && context.join(&build.dockerfile).is_file(),
            "{build:?}"
        );
    }
    Ok(())
}

#[test]
fn it_is_made_from_named_versions_and_runs_as_nobody() -> Outcome {
    let from = of("FROM")?;
    assert_eq!(from.len(), 2, "{from:?}");
    for words in &from {
        let version = words[0].rsplit_once(':').map_or("", |(_, version)| version);
        assert!(is_exact(version), "{words:?}");
    }
    // New enough for the workspace.
    let rust = from[0][0].strip_prefix("rust:").ok_or("Rust")?;
    let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    let manifest = read("Cargo.toml")?;
    let least =
        manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).ok_or("a rust-version")?;
    assert!(minor(rust) >= minor(least.trim_matches('"')), "{rust} for {least}");
    let user = of("USER")?;
    assert!(user.len() == 1 && is_nobody(&user[0][0]), "{user:?}");
    // Volumes take over their owner from the image.
    let books = of("COPY")?.into_iter().find(|words| words.last().is_some_and(|to| to == "/books"));
    assert!(books.ok_or("a folder for the books")?.contains(&format!("--chown={}", user[0][0])));
    Ok(())
}
