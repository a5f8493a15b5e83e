//! `laban dead list`: which dead letters there are, by kind or one by one.

use laban_flow::Mesh;
use laban_flow::dead::{Groups, Letter, Letters, MOST_GROUPS, Place, Standing};
use serde_json::{Value, json};

use super::filter::{Filter, OPEN, Wanted};
use super::text::{Text, counted};
use crate::{Connection, Failure, terminal};

/// What `--help` says of them.
const EXIT_CODES: &str = "\
Exit codes:
  0  listed; there may be none
  1  there is no such service
  2  the command line is wrong
  3  the broker cannot be reached, or did not answer in full";

/// List dead letters: by service, handler and kind of error, the most first; or one by one
///
/// Those that are open, unless others are asked for: nobody has decided about them, or they were handed back and have failed
/// again.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Only in this state; may be repeated, or separated by commas
    #[arg(long, value_enum, value_name = "STATE", value_delimiter = ',', conflicts_with = "all")]
    state: Vec<Wanted>,
    /// In any state: what became of those handed back, and what was discarded
    #[arg(long)]
    all: bool,
    /// One by one, oldest first, one stream after another
    #[arg(long)]
    each: bool,
    /// With --each: at most so many; 0 is all [default: 50; with --json all]
    #[arg(long, value_name = "N", requires = "each")]
    limit: Option<usize>,
    /// With --each: go on after this one, as the list before ended
    #[arg(long, value_name = "STREAM/SEQ", requires = "each")]
    after: Option<Place>,
    /// Print JSON: one object a line
    #[arg(long)]
    json: bool,
}

const SHORT_LIST: usize = 50;

pub(crate) async fn run(args: Args, connection: &Connection) -> Result<(), Failure> {
    let client = connection.connect().await?;
    let reader = connection.reader(&client).await?;
    let mesh = Mesh::discover(&client).await?;
    let states = match (args.all, args.state.as_slice()) {
        (true, _) => Vec::new(),
        (false, []) => OPEN.to_vec(),
        (false, states) => states.iter().copied().map(Standing::from).collect(),
    };
    let mut query = args.filter.query(&mesh, states)?;
    query.after.clone_from(&args.after);
    let mut letters = Letters::find(&client, reader, &mesh, query).await?;
    if args.each { each(&args, &mut letters).await } else { grouped(&args, &mut letters).await }
}

async fn grouped(args: &Args, letters: &mut Letters) -> Result<(), Failure> {
    let progress = terminal::progress("looking for dead letters");
    let mut groups = Groups::default();
    while let Some(letter) = letters.next().await? {
        groups.add(&letter);
        progress.set_message(format!("{}, {} looked at", counted(groups.all()), letters.records()));
    }
    progress.finish_and_clear();
    let (all, beyond) = (groups.all(), groups.beyond());
    let text = Text::for_terminal();
    let mut lines = String::new();
    let sorted = groups.into_sorted();
    for group in &sorted {
        lines += &if args.json { as_line(&json!(group)) } else { text.group(group) };
    }
    terminal::print(&lines)?;
    if !args.json && all > 0 {
        let kinds = if sorted.len() == 1 { "1 group".to_owned() } else { format!("{} groups", sorted.len()) };
        terminal::print(&format!("{}, {kinds}\n", counted(all)))?;
    }
    if beyond > 0 {
        terminal::say(&format!(
            "laban: {beyond} more are of other kinds than the first {MOST_GROUPS}: narrow what is looked for"
        ));
    }
    ended(letters, all, args.all)
}

async fn each(args: &Args, letters: &mut Letters) -> Result<(), Failure> {
    let limit = match args.limit.unwrap_or(if args.json { 0 } else { SHORT_LIST }) {
        0 => usize::MAX,
        limit => limit,
    };
    let progress = terminal::progress("looking for dead letters");
    let text = Text::for_terminal();
    let (mut found, mut last) = (0, None);
    while found < limit {
        let Some(letter) = letters.next().await? else {
            progress.finish_and_clear();
            return ended(letters, found as u64, args.all);
        };
        let line = if args.json { as_line(&summary(&letter)) } else { text.line(&letter) };
        if !progress.suspend(|| terminal::print_on(&line))? {
            return Ok(());
        }
        found += 1;
        last = Some(letter.place);
        progress.set_message(format!("{}, {} looked at", counted(found as u64), letters.records()));
    }
    let more = letters.next().await?.is_some();
    progress.finish_and_clear();
    if let (true, Some(last)) = (more, last) {
        terminal::say(&format!("laban: there are more: --after {last}"));
    }
    Ok(())
}

/// What else there is to say.
fn ended(letters: &Letters, found: u64, all: bool) -> Result<(), Failure> {
    let unreadable: Vec<String> = letters.unreadable().iter().map(Place::to_string).collect();
    if !unreadable.is_empty() {
        let places = unreadable.join(", ");
        terminal::say(&format!("laban: warning: no dead letters, though they are called so: {places}"));
    }
    if found == 0 {
        let hint = if all { "" } else { "; --all shows what was handed back or discarded" };
        terminal::say(&format!("laban: no such dead letter{hint}"));
    }
    Ok(())
}

/// A letter without its input's body, nor its history: `show` has those.
fn summary(letter: &Letter) -> Value {
    let mut value = json!(letter);
    if let Some(members) = value.as_object_mut() {
        members.remove("history");
        let input = &letter.input;
        members.insert(
            "input".to_owned(),
            json!({"stream": input.stream, "seq": input.seq, "subject": input.subject}),
        );
        members.insert("decision".to_owned(), json!(letter.decision()));
    }
    value
}

fn as_line(value: &Value) -> String {
    format!("{value}\n")
}
