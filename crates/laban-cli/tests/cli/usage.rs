use crate::{Outcome, laban, outcome};

#[test]
fn help_says_what_the_exit_codes_mean_for_each_command() -> Outcome {
    for (command, zero, one) in [
        ("", "done", "not done, or something was found; each command's --help says"),
        ("dev", "ended by Ctrl-C or SIGTERM", "not started"),
        ("flow", "done", "not done"),
        ("flow list", "listed; there may be none", ""),
        ("flow show", "the flow was found, whatever its state", "there is no such flow"),
        ("flow export", "written", "there is no such flow, it makes no test"),
        ("map", "the map is shown", "no service has a contract"),
        ("check", "nothing was found", "something was found"),
        ("metrics", "ended by Ctrl-C or SIGTERM", "the address cannot be listened on"),
        ("replay view", "played", "no service has a home stream"),
        ("replay run", "all was handed over and answered", "ended early, or something is newly dead"),
        ("replay shadow", "every outcome is identical", "an outcome is another"),
        ("dead list", "listed", "there is no such service"),
        ("dead show", "shown", "there is no such dead letter"),
        (
            "dead redrive",
            "all were handed back; with --wait:",
            "there is no such dead letter, or one was settled",
        ),
        ("dead discard", "all were discarded", "there is no such dead letter, or one was settled"),
        ("retire", "it is out of the mesh", "it is not gone"),
        ("stream list", "listed; there may be none", ""),
        ("stream replicas", "all have that many", "there are too few nodes"),
        ("doctor", "nothing is wrong", "an error or a warning was found"),
    ] {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let (code, out, _) = outcome(&laban(&args).output()?);
        assert_eq!(code, Some(0), "{command}");
        assert!(out.contains(&format!("Exit codes:\n  0  {zero}")), "{command}: {out}");
        assert!(out.contains(&format!("\n  1  {one}")), "{command}: {out}");
        assert!(out.contains("\n  2  the command line is wrong"), "{command}: {out}");
    }
    let (_, out, _) = outcome(&laban(&["--help"]).output()?);
    for flag in ["--server", "--context", "--creds", "NATS_URL"] {
        assert!(out.contains(flag), "{flag} in {out}");
    }
    Ok(())
}

#[test]
fn redrive_and_discard_are_asked_the_same_and_discard_has_to_be_told_why() -> Outcome {
    for command in ["redrive", "discard"] {
        let (_, out, _) = outcome(&laban(&["dead", command, "--help"]).output()?);
        for said in [
            "[STREAM/SEQ|FLOW]",
            "One dead letter, such as `PAYMENT/16`; or a flow's business key",
            "--service <NAME>",
            "--fingerprint <FINGERPRINT>",
            "--why <TEXT>",
            "--by <NAME>",
            "Who decides, for the record [default: USER]",
            "--dry-run",
            "Say what would be done, and do nothing",
            "--yes",
            "Do not ask before it is done to more than one",
            "Print JSON: one object a line",
        ] {
            assert!(out.contains(said), "{command}: no {said:?} in {out}");
        }
    }
    let (code, _, err) = outcome(&laban(&["dead", "discard", "PAYMENT/1"]).output()?);
    assert_eq!(code, Some(2));
    assert!(err.contains("--why <TEXT>") && err.contains("not provided"), "{err}");
    // With a rehearsal it need not be said: the next thing that is missing is a broker.
    let rehearsed = ["dead", "discard", "PAYMENT/1", "--dry-run", "--server", "nats://127.0.0.1:1"];
    assert_eq!(outcome(&laban(&rehearsed).output()?).0, Some(3));
    Ok(())
}

#[test]
fn a_wrong_command_line_is_exit_code_2() -> Outcome {
    for args in [
        &["flow", "show"][..],
        &["flow", "show", ""],
        &["dance"],
        &["flow", "show", "x", "--yaml"],
        &["flow", "show", "x", "--overdue", "30"],
        &["flow", "show", "x", "--json", "--format", "tree"],
        &["flow", "show", "x", "--trace", "4bf92f3577b34da6a3ce929d0e0e4736"],
        &["flow", "show", "--trace", "4bf9"],
        &["flow", "list", "--state", "asleep"],
        &["flow", "list", "--since", "yesterday"],
        &["flow", "list", "--after", "there"],
        &["replay", "view", "--speed", "fast"],
        &["replay", "view", "--event", "placed"],
        &["dead", "list", "--after", "there"],
        &["dead", "show"],
        &["dead", "redrive", "4711", "--flow", "4711"],
        &["dead", "discard", "PAYMENT/1"],
        &["flow", "export", "--format", "case"],
        &["flow", "export", "4711"],
        &["flow", "export", "4711", "--format", "case", "--key", "47"],
        &["flow", "export", "--ignore", "payment.captured:/at"],
        &["flow", "export", "4711", "--format", "case", "--ignore", "payment.captured"],
        &["dev", "--port", "0", "--temporary", "--server", "nats://127.0.0.1:1"],
    ] {
        let (code, out, err) = outcome(&laban(args).output()?);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
        assert!(err.contains("--help"), "{err}");
    }
    let (_, _, err) = outcome(&laban(&["flow", "show", ""]).output()?);
    assert!(err.contains("a flow id must not be empty"), "{err}");
    Ok(())
}

#[test]
fn no_broker_is_exit_code_3_and_says_where_it_looked_and_what_to_do() -> Outcome {
    // Port 1 of this machine: refused at once.
    let (code, out, err) =
        outcome(&laban(&["flow", "show", "4711", "--server", "nats://ann:hush@127.0.0.1:1"]).output()?);
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.starts_with("laban: no broker at nats://***@127.0.0.1:1 (from --server)"), "{err}");
    assert!(err.contains("`laban dev` starts one"), "{err}");
    let (code, _, err) = outcome(&laban(&["flow", "show", "4711", "--context", "absent"]).output()?);
    assert_eq!(code, Some(3));
    assert!(err.contains("nats context `absent` (/nowhere/nats/context/absent.json)"), "{err}");
    Ok(())
}
