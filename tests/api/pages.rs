//! The files of the page: sent once, kept by their ETags, and allowed nothing that the program did not serve.

use reqwest::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH};

use crate::helpers::{error_of, file, spawn_app};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_caller_has_is_not_sent_again() {
    let app = spawn_app().await;
    let get = |path: &str| app.client.get(app.url(path));
    for path in ["/", "/docs", "/web/js/page.js", "/web/page.css", "/web/samples/coffee.jpg", "/llms.txt"] {
        let first = get(path).send().await.unwrap();
        assert_eq!(first.status(), 200, "{path}");
        let etag = first.headers()[ETAG].clone();
        assert_eq!(first.headers()["x-content-type-options"], "nosniff");
        assert!(!first.bytes().await.unwrap().is_empty());
        let weak = format!("\"other\", W/{}", etag.to_str().unwrap());
        for known in [etag.to_str().unwrap(), weak.as_str(), "*"] {
            let again = get(path).header(IF_NONE_MATCH, known).send().await.unwrap();
            assert_eq!((again.status().as_u16(), &again.headers()[ETAG]), (304, &etag), "{path}: {known}");
            assert!(again.bytes().await.unwrap().is_empty());
        }
        assert_eq!(get(path).header(IF_NONE_MATCH, "\"other\"").send().await.unwrap().status(), 200);
        let head = app.client.head(app.url(path)).send().await.unwrap();
        assert_eq!((head.status().as_u16(), &head.headers()[ETAG]), (200, &etag));
    }
    let sample = get("/web/samples/coffee.jpg").send().await.unwrap();
    assert_eq!(sample.headers()[CONTENT_TYPE], "image/jpeg");
    assert_eq!(sample.bytes().await.unwrap(), file("photos/coffee.jpg"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_run_nothing_but_what_is_served() {
    let app = spawn_app().await;
    for path in ["/", "/docs"] {
        let answer = app.client.get(app.url(path)).send().await.unwrap();
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        let page = answer.text().await.unwrap();
        for inline in ["<style", " style=", " onclick=", "javascript:", "<script>"] {
            assert!(!page.contains(inline), "{inline} in {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_beside_the_files_is_there() {
    let app = spawn_app().await;
    for path in [
        "/web",
        "/web/",
        "/web/index.html",
        "/web/package.json",
        "/web/js/../page.css",
        "/web/js%2fpage.js",
        "/llms.txt/x",
    ] {
        let answer = app.client.get(app.url(path)).send().await.unwrap();
        // A client takes `..` out before it asks.
        let expected = if path.contains("..") { 200 } else { 404 };
        assert_eq!(answer.status(), expected, "{path}");
    }
    let posted = app.client.post(app.url("/web/page.css")).send().await.unwrap();
    assert_eq!(posted.headers()["allow"], "GET, HEAD");
    assert_eq!(error_of(posted).await.0, 405);
}
