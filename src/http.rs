//! The HTTP API. Only this module names warp.

mod api;
mod auth;
mod cors;
mod error;
mod form;
mod limit;
mod openapi;
mod pace;
mod pages;
mod problem;
mod quota;
mod reply;
mod routes;
mod serve;
mod shared;
mod start;
mod tables;
mod tls;

pub use auth::{Tokens, token_digest};
pub use cors::Origins;
pub use limit::Limits;
pub use pages::Pages;
pub use routes::{Service, admin, routes};
pub use serve::{LISTENERS, Listener, Stop, serve};
pub use start::{serve_admin, serve_api};
pub use tls::Tls;
