use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::mesh::{fixture, registered};
use crate::{Outcome, laban, outcome, text};

/// Standard output of `laban map`, which does not fail.
fn map(args: &[&str]) -> Outcome<String> {
    let (code, out, err) = outcome(&laban(&[&["map"], args].concat()).output()?);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
    Ok(out)
}

#[test]
fn contract_files_need_no_broker() -> Outcome {
    let shop = &fixture("shop.json");
    let out = map(&[shop])?;
    assert!(out.starts_with("map · 5 services · 11 handlers · 11 events\n\ninventory\n  reserve  "), "{out}");
    assert!(!out.contains('\x1b'), "{out}");
    assert!(map(&[shop, "--ascii"])?.is_ascii());
    assert!(map(&[shop, "--format", "mermaid"])?.starts_with("flowchart LR\n"));
    assert!(map(&[shop, "--format", "svg"])?.starts_with("<svg "));
    let json: Value = serde_json::from_str(&map(&[shop, "--format", "json"])?)?;
    assert_eq!(json["services"].as_array().map(Vec::len), Some(5));
    assert_eq!(json["events"][0]["consumed_by"][0]["handler"], "close");
    Ok(())
}

#[test]
fn a_map_is_written_to_a_file_and_read_from_standard_input() -> Outcome {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("map.svg");
    let name = file.to_str().unwrap();
    let mut child = laban(&["map", "-", "--format", "svg", "-o", name]);
    let contracts = std::fs::File::open(fixture("shop.json"))?;
    let output = child.stdin(Stdio::from(contracts)).output()?;
    assert_eq!(outcome(&output), (Some(0), String::new(), String::new()));
    assert!(std::fs::read_to_string(&file)?.ends_with("</svg>\n"));
    let nowhere = dir.path().join("none/map.svg");
    let (code, _, err) =
        outcome(&laban(&["map", &fixture("shop.json"), "-o", nowhere.to_str().unwrap()]).output()?);
    assert_eq!(code, Some(1));
    assert!(err.starts_with("laban: cannot write "), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_live_mesh_is_drawn_and_measured() -> Outcome {
    let broker = registered(&fixture("shop.json")).await?;
    let url = broker.url();
    assert_eq!(map(&["--server", &url])?, map(&[&fixture("shop.json")])?);
    let live = map(&["--server", &url, "--live", "--for", "100ms"])?;
    assert!(live.lines().next().is_some_and(|head| head.contains("measured for 0.")), "{live}");
    let document: Value = serde_json::from_str(&map(&["--server", &url, "--format", "asyncapi"])?)?;
    assert_eq!(document["servers"]["broker"]["protocol"], "nats");
    Ok(())
}

#[tokio::test]
async fn an_empty_broker_is_exit_code_1() -> Outcome {
    let empty = laban_testkit::Broker::start().await?;
    let (code, out, err) = outcome(&laban(&["map", "--server", &empty.url()]).output()?);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("no service has a contract or a home stream there"), "{err}");
    Ok(())
}

/// By the official JSON Schema, which is an npm package.
#[test]
fn the_asyncapi_document_is_valid() -> Outcome {
    let dir = tempfile::tempdir()?;
    if let Some(reason) = unavailable(dir.path(), &["@asyncapi/specs@6", "ajv@8"]) {
        skipped(&reason);
        return Ok(());
    }
    let validate = "const ajv = new (require('ajv'))({ strict: false, meta: false, validateSchema: false, logger: false });\n\
         const validate = ajv.compile(require('@asyncapi/specs').schemas['3.0.0']);\n\
         const valid = validate(JSON.parse(require('fs').readFileSync(0)));\n\
         if (!valid) { console.error(JSON.stringify(validate.errors)); process.exit(1); }\n";
    let run = |document: &str| node(dir.path(), "validate.cjs", validate, document);
    let document = map(&[&fixture("shop.json"), "--format", "asyncapi"])?;
    let (code, _, err) = run(&document)?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    // The validator does refuse what is wrong.
    let (code, _, err) = run(&document.replace("\"action\": \"receive\"", "\"action\": \"eat\""))?;
    assert_eq!(code, Some(1));
    assert!(err.contains("allowedValues"), "{err}");
    Ok(())
}

/// By Mermaid itself, which is an npm package.
#[test]
fn the_mermaid_flowchart_is_accepted() -> Outcome {
    let dir = tempfile::tempdir()?;
    if let Some(reason) = unavailable(dir.path(), &["mermaid@11", "jsdom@26"]) {
        skipped(&reason);
        return Ok(());
    }
    let parse = "import { JSDOM } from 'jsdom';\nimport fs from 'fs';\n\
         const { window } = new JSDOM('');\nObject.assign(globalThis, { window, document: window.document });\n\
         const mermaid = (await import('mermaid')).default;\n\
         await mermaid.parse(fs.readFileSync(0, 'utf8'));\n";
    let chart = map(&[&fixture("shop.json"), "--format", "mermaid"])?;
    let (code, _, err) = node(dir.path(), "parse.mjs", parse, &chart)?;
    assert_eq!(code, Some(0), "{err}");
    let (code, _, _) = node(dir.path(), "parse.mjs", parse, &chart.replace("-->", "--<"))?;
    assert_ne!(code, Some(0), "the parser does refuse what is wrong");
    Ok(())
}

#[allow(clippy::print_stderr, reason = "a test that was skipped says so")]
fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// Installs npm packages into a folder; says why, when they cannot be had.
fn unavailable(dir: &Path, packages: &[&str]) -> Option<String> {
    let mut install = Command::new("npm");
    install
        .args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
        .arg(dir)
        .args(packages);
    match install.output() {
        Err(e) => Some(format!("npm does not run here: {e}")),
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("npm cannot get {packages:?}: {}", text(&output.stderr))),
    }
}

/// Runs a script with this as its standard input.
fn node(dir: &Path, name: &str, script: &str, input: &str) -> Outcome<(Option<i32>, String, String)> {
    std::fs::write(dir.join(name), script)?;
    std::fs::write(dir.join("input"), input)?;
    let input = std::fs::File::open(dir.join("input"))?;
    Ok(outcome(&Command::new("node").current_dir(dir).arg(name).stdin(input).output()?))
}
