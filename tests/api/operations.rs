//! What operators set: TLS on both sides, and quotas that several gateways share.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::multipart::Form;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::{
    helpers::{TestApp, boxed, error_of, photo, spawn_app_with},
    program::eventually,
    samples::{png, textured},
    stand_in::StandIn,
};

fn form() -> Form {
    boxed(photo(png(textured(3, false, 40, 30))), [5, 5, 10, 10])
}

/// An authority that signs for the tests.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `localhost` and its key.
    fn sign(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// The first line of the answer to `GET /livez` over TLS, if the server's certificate is of `authority`.
async fn live_over_tls(app: &TestApp, authority: &Authority) -> Option<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(app.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.lines().next().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_speaks_tls_with_a_certificate_that_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let write = |authority: &Authority| {
        let signed = authority.sign();
        std::fs::write(&certificate, signed.0).unwrap();
        std::fs::write(&key, signed.1).unwrap();
    };
    let (first, second) = (Authority::new(), Authority::new());
    write(&first);
    let flags = [format!("--tls-cert={}", certificate.display()), format!("--tls-key={}", key.display())];
    let app = spawn_app_with("http://127.0.0.1:1", &[&flags[0], &flags[1]]).await;
    assert_eq!(live_over_tls(&app, &first).await.as_deref(), Some("HTTP/1.1 200 OK"));
    assert_eq!(live_over_tls(&app, &second).await, None);
    let plain = app.client.get(app.url("/livez")).send().await;
    assert!(plain.is_err(), "nothing goes in the clear");

    write(&second);
    eventually("the new certificate is used", async || live_over_tls(&app, &second).await.is_some()).await;
    std::fs::write(&certificate, "broken").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(live_over_tls(&app, &second).await.is_some(), "a broken file changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn triton_is_reached_over_tls_as_whom_it_asks_for() {
    let (server, clients) = (Authority::new(), Authority::new());
    let (certificate, key) = server.sign();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(clients.pem()));
    let triton = StandIn::with_tls(tls).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (own, own_key) = clients.sign();
    let ca = format!("--triton-ca={}", write("ca.pem", server.pem()));
    let own = format!("--triton-cert={}", write("own.pem", own));
    let own_key = format!("--triton-key={}", write("own.key", own_key));
    let address = format!("https://localhost:{}", triton.address.port());

    let known = spawn_app_with(&address, &[&ca, &own, &own_key]).await;
    eventually("it is served", async || known.inpaint(form()).await.status() == 200).await;
    let unknown = spawn_app_with(&address, &[&ca]).await;
    assert_eq!(error_of(unknown.inpaint(form()).await).await.0, 503, "without a certificate");
    let distrusting = spawn_app_with(&address, &[&own, &own_key]).await;
    assert_eq!(error_of(distrusting.inpaint(form()).await).await.0, 503, "without the authority");
}

/// A Redis of its own, killed when dropped.
struct Redis(Child, u16);

impl Redis {
    async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp"])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server: `make dev` installs it");
        eventually("Redis listens", async || TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        Self(server, port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_share_quotas_and_do_as_they_are_told_without() {
    let redis = Redis::start().await;
    let triton = StandIn::start().await;
    let shared = format!("--rate-redis=redis://127.0.0.1:{}", redis.1);
    let quota = ["--rate-per-minute=6", "--rate-burst=4"];
    let open = spawn_app_with(&triton.url(), &[&shared, quota[0], quota[1]]).await;
    let closed =
        spawn_app_with(&triton.url(), &[&shared, "--rate-redis-fail=closed", quota[0], quota[1]]).await;
    for (app, left) in [(&open, 3), (&closed, 2), (&open, 1), (&closed, 0)] {
        let response = app.inpaint(form()).await;
        assert_eq!(response.status(), 200);
        let rate = response.headers()["ratelimit"].to_str().unwrap().to_owned();
        assert!(rate.starts_with(&format!("\"default\";r={left};")), "{rate}");
    }
    for app in [&open, &closed] {
        let response = app.inpaint(form()).await;
        let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((5..=10).contains(&wait), "{wait}");
        assert_eq!(error_of(response).await.1, "rate_limit_exceeded");
    }
    drop(redis);
    assert_eq!(open.inpaint(form()).await.status(), 200, "it counts alone");
    let (status, code, message) = error_of(closed.inpaint(form()).await).await;
    assert_eq!((status, code.as_str()), (503, "overloaded"));
    assert!(!message.contains("127.0.0.1"), "{message}");
}
