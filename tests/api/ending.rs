//! How the program ends, and how long it keeps connections.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    helpers::TOKEN,
    program::{Gateway, form},
    stand_in::{StandIn, fill},
};

#[test]
fn without_a_caller_the_end_is_announced_first() {
    let mut gateway = Gateway::start(&[]);
    gateway.signal("-TERM");
    eventually_log(&gateway, "draining");
    let mut new = TcpStream::connect(gateway.address).expect("new callers still get an answer");
    new.write_all(b"GET /readyz HTTP/1.1\r\nhost: lacuna\r\n\r\n").unwrap();
    let mut answer = String::new();
    new.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"draining\":true"), "{answer}");
    assert!(gateway.process.wait().unwrap().success());
}

#[test]
fn callers_are_asked_to_leave_before_the_end() {
    let mut gateway = Gateway::start(&[]);
    let mut kept = TcpStream::connect(gateway.address).unwrap();
    let mut ask = || {
        kept.write_all(b"GET /livez HTTP/1.1\r\nhost: lacuna\r\n\r\n").unwrap();
        let mut answer = [0; 1024];
        let length = kept.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    assert!(!ask().contains("connection: close"));
    gateway.signal("-TERM");
    eventually_log(&gateway, "draining");
    let answer = ask();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    let ended = Instant::now();
    assert!(gateway.process.wait().unwrap().success());
    assert!(ended.elapsed() < Duration::from_secs(5), "nobody is waited for who has left");
}

/// Sends a request that takes longer than `drain` allows or not, tells the gateway to end meanwhile, and says
/// what became of the request and how long the end took.
async fn ended_under_a_request(settings: &[(&str, &str)], takes: Duration) -> (Option<u16>, Duration) {
    let slow = StandIn::answering(takes, fill).await;
    let url = slow.url();
    let mut gateway = Gateway::start(&[settings, &[("LACUNA_TRITON", &url)]].concat());
    let request = reqwest::Client::new().post(gateway.url()).bearer_auth(TOKEN).multipart(form());
    let request =
        tokio::spawn(async move { request.send().await.ok().map(|answer| answer.status().as_u16()) });
    tokio::time::sleep(Duration::from_millis(700)).await;
    gateway.signal("-TERM");
    let told = Instant::now();
    let status = tokio::task::spawn_blocking(move || gateway.process.wait().map(|_| gateway)).await;
    let took = told.elapsed();
    assert!(status.unwrap().is_ok());
    (request.await.unwrap(), took)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_may_take_the_drain_to_end_and_no_longer() {
    let (patient, hurried, by_default) = tokio::join!(
        ended_under_a_request(&[("LACUNA_DRAIN_TIMEOUT", "20")], Duration::from_secs(6)),
        ended_under_a_request(&[("LACUNA_DRAIN_TIMEOUT", "4")], Duration::from_mins(1)),
        ended_under_a_request(&[("LACUNA_REQUEST_TIMEOUT", "20")], Duration::from_secs(6)),
    );
    assert_eq!(patient.0, Some(200), "it was finished");
    assert!(patient.1 < Duration::from_secs(12), "and not waited for longer: {:?}", patient.1);
    assert_eq!(hurried.0, None, "it was cut off");
    assert!((4..8).contains(&hurried.1.as_secs()), "{:?}", hurried.1);
    assert_eq!(by_default.0, Some(200), "the drain is as long as a request may take");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_kept_as_long_as_the_setting_says() {
    let gateway = Gateway::start(&[("LACUNA_IDLE_TIMEOUT", "3")]);
    let mut kept = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let mut answer = [0; 1024];
    for pause in [0, 2, 2] {
        tokio::time::sleep(Duration::from_secs(pause)).await;
        kept.write_all(b"GET /livez HTTP/1.1\r\nhost: lacuna\r\n\r\n").await.unwrap();
        let length = kept.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "after {pause} s");
    }
    let idle = Instant::now();
    assert_eq!(kept.read(&mut answer).await.unwrap(), 0);
    assert!((2..6).contains(&idle.elapsed().as_secs()), "{:?}", idle.elapsed());
}

fn eventually_log(gateway: &Gateway, text: &str) {
    let end = Instant::now() + Duration::from_secs(5);
    while !gateway.log().iter().any(|line| line.contains(text)) {
        assert!(Instant::now() < end, "{text}");
        thread::sleep(Duration::from_millis(10));
    }
}
