use std::time::Duration;

use laban_testkit::{Error, Jaeger, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// None, and a line that says so, where no Jaeger can be had; a failure if one is required.
#[allow(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]
async fn start() -> Result<Option<Jaeger>, Error> {
    match Jaeger::start().await {
        Ok(jaeger) => Ok(Some(jaeger)),
        Err(Error::NoTool { why, .. }) if std::env::var("LABAN_REQUIRE_JAEGER").as_deref() != Ok("1") => {
            eprintln!("skipped, no Jaeger: {why}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn ask(url: &str, method: &str, path: &str, body: &str) -> std::io::Result<String> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
const SPAN: &str = r#"{"resourceSpans":[{
    "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"payment"}}]},
    "scopeSpans":[{"spans":[{
        "traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"process order.placed","kind":5,
        "startTimeUnixNano":"1764720000000000000","endTimeUnixNano":"1764720000001000000"}]}]}]}"#;

#[tokio::test]
async fn a_span_sent_can_be_read_at_once() -> Outcome {
    let Some(mut jaeger) = start().await? else {
        return Ok(());
    };
    let sent = ask(&jaeger.otlp_http_url(), "POST", "/v1/traces", SPAN).await?;
    assert!(sent.contains(" 200 "), "{sent}");
    let path = format!("/api/traces/{TRACE}");
    let read = ask(&jaeger.ui_url(), "GET", &path, "").await?;
    assert!(read.contains("process order.placed"), "{read}");

    let url = jaeger.ui_url();
    jaeger.kill();
    jaeger.start_again().await?;
    assert_eq!(jaeger.ui_url(), url);
    let read = ask(&url, "GET", &path, "").await?;
    assert!(read.contains("trace not found"), "{read}");
    Ok(())
}

#[tokio::test]
async fn several_run_side_by_side_and_go_with_their_handle() -> Outcome {
    let Some(one) = start().await? else {
        return Ok(());
    };
    let two = Jaeger::start().await?;
    let mut urls = vec![one.ui_url(), one.otlp_grpc_url(), one.otlp_http_url()];
    urls.extend([two.ui_url(), two.otlp_grpc_url(), two.otlp_http_url()]);
    urls.sort();
    urls.dedup();
    assert_eq!(urls.len(), 6);

    let address = one.ui_url().trim_start_matches("http://").to_owned();
    drop(one);
    wait::until("its port to be free", Duration::from_secs(1), async || {
        TcpStream::connect(&address).await.is_err()
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_named() -> Outcome {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    match Jaeger::builder().ui_port(port).start().await {
        Ok(_) => Err("it started on a taken port".into()),
        Err(Error::NoTool { .. }) => start().await.map(drop).map_err(Into::into),
        Err(error) => {
            assert!(error.to_string().contains("address already in use"), "{error}");
            Ok(())
        }
    }
}
