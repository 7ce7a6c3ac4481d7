//! Shows what is to go, and erases it. Usage: LACUNA_TOKEN=… erase ADDRESS PHOTO MASK RESULT

use std::{env, error::Error, fs, time::Duration};

use reqwest::{Client, StatusCode, multipart::Form};

/// Sends files by their field names, and waits as the service says where it is busy.
async fn post(client: &Client, url: &str, files: &[(&'static str, &str)]) -> Result<Vec<u8>, Box<dyn Error>> {
    loop {
        let mut form = Form::new();
        for (name, path) in files {
            form = form.file(*name, path).await?;
        }
        let request = client.post(url).bearer_auth(env::var("LACUNA_TOKEN")?).multipart(form);
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::OK => return Ok(answer.bytes().await?.into()),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let seconds = answer.headers()["retry-after"].to_str()?.parse()?;
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            status => return Err(format!("{status}: {}", answer.text().await?).into()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, photo, mask, result] = arguments.as_slice() else {
        return Err("erase ADDRESS PHOTO MASK RESULT".into());
    };
    // Only where reqwest is built without a provider of its own, as it is here.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let client = Client::new();
    fs::write(mask, post(&client, &format!("{address}/mask"), &[("file", photo)]).await?)?;
    let files = [("file", photo.as_str()), ("mask", mask)];
    fs::write(result, post(&client, &format!("{address}/inpaint"), &files).await?)?;
    Ok(())
}
