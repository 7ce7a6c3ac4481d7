//! What every test does: start the service, send a form, look at the answer.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use lacuna::{app::App, config::Config};
use reqwest::{
    Response, StatusCode,
    multipart::{Form, Part},
};
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{program::eventually, stand_in::StandIn};

pub const TOKEN: &str = "t0ken-of-the-tests";

/// The running service, and the stand-in behind it if it has one.
pub struct TestApp {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub client: reqwest::Client,
    pub stop: Option<oneshot::Sender<()>>,
    pub task: Option<JoinHandle<()>>,
    pub triton: Option<StandIn>,
}

/// The service in front of a stand-in that answers well.
pub async fn spawn_app() -> TestApp {
    spawn_app_before(StandIn::start().await, &[]).await
}

/// The service in front of `triton`, with further flags.
pub async fn spawn_app_before(triton: StandIn, flags: &[&str]) -> TestApp {
    let mut app = spawn_app_with(&triton.url(), flags).await;
    app.triton = Some(triton);
    app
}

/// The service with `LACUNA_TRITON` and further flags. Quotas are out of the way unless asked for.
pub async fn spawn_app_with(triton: &str, flags: &[&str]) -> TestApp {
    have_tls();
    let defaults = [
        "--listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
        "--rate-per-minute=1000000",
        "--rate-burst=100000",
        "--token-concurrency=1000",
    ];
    let tokens = format!("--tokens=tests:{TOKEN}");
    let triton = format!("--triton={triton}");
    let given =
        |default: &&str| !flags.iter().any(|flag| flag.split('=').next() == default.split('=').next());
    let args = defaults
        .into_iter()
        .filter(given)
        .chain([tokens.as_str(), triton.as_str()])
        .chain(flags.iter().copied());
    let config = Config::try_parse_from(["lacuna"].into_iter().chain(args)).unwrap();
    let app = App::build(config).await.unwrap();
    let (address, admin) = (app.address().unwrap(), app.admin_address().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(app.run_until(async move { stopped.await.unwrap_or_default() }));
    TestApp {
        address,
        admin,
        client: reqwest::Client::new(),
        stop: Some(stop),
        task: Some(task),
        triton: None,
    }
}

/// Names the cryptography of the test's own client, which it is built without; once for the process.
pub fn have_tls() {
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}

impl TestApp {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until so many replicas are ready.
    pub async fn replicas_ready(&self, count: usize) {
        eventually("the replicas are ready", async || {
            let answer = self.client.get(self.url("/readyz")).send().await.unwrap();
            let told: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            let replicas = told["replicas"].as_array().unwrap();
            replicas.iter().filter(|replica| replica["ready"] == true).count() == count
        })
        .await;
    }

    /// Sends a form to `/inpaint`.
    pub async fn inpaint(&self, form: Form) -> Response {
        self.client.post(self.url("/inpaint")).bearer_auth(TOKEN).multipart(form).send().await.unwrap()
    }

    /// Sends a form and takes the picture that comes back.
    pub async fn filled(&self, form: Form) -> Vec<u8> {
        let response = self.inpaint(form).await;
        let status = response.status();
        let body = response.bytes().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        body.to_vec()
    }
}

/// A form with a photo.
pub fn photo(bytes: impl Into<Vec<u8>>) -> Form {
    Form::new().part("file", Part::bytes(bytes.into()).file_name("photo"))
}

/// Adds a box to a form.
pub fn boxed(form: Form, [x, y, w, h]: [u32; 4]) -> Form {
    [("x", x), ("y", y), ("w", w), ("h", h)]
        .into_iter()
        .fold(form, |form, (name, value)| form.text(name, value.to_string()))
}

/// Adds a mask to a form.
pub fn masked(form: Form, mask: impl Into<Vec<u8>>) -> Form {
    form.part("mask", Part::bytes(mask.into()).file_name("mask.png"))
}

/// Status, code and message of an error, whose form is checked.
pub async fn error_of(response: Response) -> (u16, String, String) {
    let status = response.status().as_u16();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).expect("errors are JSON");
    let text = |key: &str| body[key].as_str().unwrap_or_else(|| panic!("no {key} in {body}")).to_owned();
    assert_eq!(text("request_id"), id);
    assert_eq!(body.as_object().unwrap().len(), 3);
    (status, text("error"), text("message"))
}

/// A file below `tests/`.
pub fn file(path: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
