//! `laban map`: who emits what, and who reacts to it.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use laban_flow::Map;
use laban_flow::map::{About, MapStyle};

use crate::{Connection, Failure, contracts, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  the map is shown
  1  no service has a contract or a home stream there, or the map cannot be written
  2  the command line is wrong, or a contract file
  3  the broker cannot be reached, or did not answer in full";

/// Show the map: who emits what, and who reacts to it
///
/// Of the mesh at the broker, from the contracts that its services have registered; or of contract files, with no broker.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Contract files (what a service's binary prints with `contract`), folders of them, or `-`
    files: Vec<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Measure what is on its way: rates, lag, failures
    #[arg(long)]
    live: bool,
    /// How long to measure, such as 500ms or 10s
    #[arg(long = "for", value_name = "TIME", requires = "live", default_value = "2s", value_parser = duration)]
    time: Duration,
    /// Write to a file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draw with ASCII only, as where the locale is not one of UTF-8
    #[arg(long)]
    ascii: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    #[default]
    Text,
    /// A Mermaid flowchart
    Mermaid,
    /// A picture, for light and for dark
    Svg,
    /// All of it, for programs
    Json,
    /// An AsyncAPI 3.0 document
    Asyncapi,
}

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let files = contracts::read(&args.files)?;
    let (map, server) = if args.files.is_empty() || args.live {
        let client = connection.connect().await?;
        let reader = connection.reader(&client).await?;
        let mut map =
            if args.files.is_empty() { Map::discover(&client, &reader).await? } else { Map::join(files)? };
        if args.live {
            map.measure(&client, &reader, args.time).await?;
        }
        (map, Some(address(&client)))
    } else {
        (Map::join(files)?, None)
    };
    for problem in &map.problems {
        terminal::say(&format!("laban: warning: {problem}; it is not on the map"));
    }
    if map.services.is_empty() {
        return Err(Failure::NotDone(
            "no service has a contract or a home stream there: is this the right broker, and the right account?".to_owned(),
        ));
    }
    let text = render(&map, &args, server)?;
    match &args.output {
        None => terminal::print(&text),
        Some(file) => std::fs::write(file, text)
            .map_err(|e| Failure::NotDone(format!("cannot write {}: {e}", file.display()))),
    }
}

fn render(map: &Map, args: &Args, server: Option<String>) -> Result<String, Failure> {
    let json = |value: serde_json::Result<String>| {
        value.map(|text| text + "\n").map_err(|e| Failure::NotDone(format!("cannot write JSON: {e}")))
    };
    Ok(match args.format {
        Format::Text => map.to_text(MapStyle {
            ascii: args.ascii || !terminal::is_utf8(),
            colour: args.output.is_none() && terminal::has_colours(),
        }),
        Format::Mermaid => map.to_mermaid(),
        Format::Svg => map.to_svg(),
        Format::Json => json(serde_json::to_string_pretty(map))?,
        Format::Asyncapi => {
            let about = About { title: title(map), server };
            json(serde_json::to_string_pretty(&map.to_asyncapi(&about)))?
        }
    })
}

/// Where the broker says it is: an address without credentials.
fn address(client: &async_nats::Client) -> String {
    let info = client.server_info();
    format!("nats://{}:{}", info.host, info.port)
}

fn title(map: &Map) -> String {
    let names: Vec<&str> = map.services.iter().map(|member| member.name()).collect();
    names.join(", ")
}

/// `500ms`, `2s`, `1min`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 1,
        "s" => 1000,
        "min" | "m" => 60_000,
        _ => return Err("a time is a whole number and a unit: 500ms, 2s, 1min".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a time begins with a whole number: 2s".to_owned())?;
    Ok(Duration::from_millis(number.saturating_mul(scale)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        for wrong in ["", "2", "s", "1.5s", "2 s", "2h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
