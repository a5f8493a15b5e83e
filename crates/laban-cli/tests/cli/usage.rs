use crate::{Outcome, laban, outcome};

#[test]
fn help_documents_the_exit_codes() -> Outcome {
    for args in [
        &["--help"][..],
        &["dev", "--help"],
        &["flow", "show", "--help"],
        &["map", "--help"],
        &["check", "--help"],
        &["doctor", "--help"],
        &["replay", "view", "--help"],
        &["dead", "list", "--help"],
        &["dead", "redrive", "--help"],
    ] {
        let (code, out, _) = outcome(&laban(args).output()?);
        assert_eq!(code, Some(0));
        assert!(out.contains("Exit codes:\n  0  done"), "{out}");
    }
    let (_, out, _) = outcome(&laban(&["--help"]).output()?);
    for flag in ["--server", "--context", "--creds", "NATS_URL"] {
        assert!(out.contains(flag), "{flag} in {out}");
    }
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
