//! Authentication by bearer tokens, which are looked up by their SHA-256.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use warp::http::{HeaderMap, header::AUTHORIZATION};

use super::{limit::Limiter, quota::Quota};
use crate::{
    config::{Config, NamedToken},
    process::unreadable,
};

/// A caller with a known token.
#[derive(Debug)]
pub struct Caller {
    /// The caller's name, for logs.
    pub name: String,
    /// SHA-256 of the token.
    digest: [u8; 32],
    /// Keeps the caller within its quota.
    pub limiter: Limiter,
    /// Permits for the requests it may have in flight at once.
    pub places: Arc<Semaphore>,
}

/// The known callers.
///
/// Tokens are looked up by digest. The timing of a lookup may leak something about the digest of the token
/// that was sent, which its sender knows anyway, but nothing about any other token.
#[derive(Debug)]
pub struct Tokens {
    of_settings: Vec<NamedToken>,
    file: Option<PathBuf>,
    quota: Quota,
    at_once: usize,
    callers: ArcSwap<HashMap<[u8; 32], Arc<Caller>>>,
}

impl Tokens {
    /// Loads the callers from the settings and the tokens file.
    ///
    /// # Errors
    /// A message naming the file, and the line if one is malformed; or two callers with the same token.
    pub fn load(config: &Config) -> Result<Self, String> {
        let tokens = Self {
            of_settings: config.tokens.clone(),
            file: config.tokens_file.clone(),
            quota: Quota { per_minute: config.rate_per_minute, burst: config.rate_burst },
            at_once: config.token_concurrency.into(),
            callers: ArcSwap::default(),
        };
        tokens.reload()?;
        Ok(tokens)
    }

    /// Reloads the callers and returns how many there are. A caller whose name, token and quota are unchanged
    /// keeps what is left of its quota. On error nothing changes.
    ///
    /// # Errors
    /// Same as [`Tokens::load`].
    pub fn reload(&self) -> Result<usize, String> {
        let mut entries: Vec<_> = self.of_settings.iter().map(|token| of_token(token, self.quota)).collect();
        if let Some(path) = &self.file {
            entries.extend(read(path, self.quota)?);
        }
        let before = self.callers.load();
        let mut callers: HashMap<[u8; 32], Arc<Caller>> = HashMap::with_capacity(entries.len());
        for (name, digest, quota) in entries {
            let same = |caller: &&Arc<Caller>| caller.name == name && caller.limiter.quota() == quota;
            let caller = match before.get(&digest).filter(same) {
                Some(caller) => Arc::clone(caller),
                None => Arc::new(Caller {
                    name: name.clone(),
                    digest,
                    limiter: Limiter::new(quota),
                    places: Arc::new(Semaphore::new(self.at_once)),
                }),
            };
            if let Some(other) = callers.insert(digest, caller) {
                return Err(format!("the callers '{}' and '{name}' have the same token", other.name));
            }
        }
        let count = callers.len();
        self.callers.store(Arc::new(callers));
        Ok(count)
    }

    /// The caller whose bearer token (RFC 6750) the request carries in its single `authorization` header.
    pub fn caller(&self, headers: &HeaderMap) -> Option<Arc<Caller>> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let (scheme, token) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
        if !scheme.eq_ignore_ascii_case(b"Bearer ") {
            return None;
        }
        let digest = token_digest(token.trim_ascii());
        self.callers.load().get(&digest).filter(|caller| caller.digest == digest).cloned()
    }
}

/// SHA-256 of a token: what the tokens file holds in its place.
pub fn token_digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

type Entry = (String, [u8; 32], Quota);

fn of_token(token: &NamedToken, quota: Quota) -> Entry {
    (token.name.clone(), token_digest(token.token.as_bytes()), quota)
}

fn read(path: &Path, quota: Quota) -> Result<Vec<Entry>, String> {
    const SETTING: &str = "LACUNA_TOKENS_FILE";
    let wrong = |what: String| format!("{SETTING} {}: {what}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(SETTING, path, &error))?;
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| entry(line, quota).map_err(|what| wrong(format!("line {number}: {what}"))))
        .collect()
}

/// Parses `name sha256 [per-minute [burst]]`.
fn entry(line: &str, default: Quota) -> Result<Entry, &'static str> {
    let mut columns = line.split_ascii_whitespace();
    let name = columns.next().ok_or("no name")?;
    let digest = columns.next().and_then(from_hex).ok_or("the second column is not a SHA-256 in hex")?;
    let mut number = |default: NonZeroU32| match columns.next() {
        Some(column) => column.parse().map_err(|_| "a quota is not a positive number"),
        None => Ok(default),
    };
    let quota = Quota { per_minute: number(default.per_minute)?, burst: number(default.burst)? };
    match columns.next() {
        Some(_) => Err("more than four columns"),
        None => Ok((name.to_owned(), digest, quota)),
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut digest = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |i: usize| char::from(pair[i]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(digest)
}
