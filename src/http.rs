//! The API over HTTP. The only place that names warp.

mod auth;
mod error;
mod form;
mod limit;
mod pages;
mod reply;
mod routes;
mod serve;

pub use auth::Tokens;
pub use routes::{Service, admin, routes};
pub use serve::{Stop, serve};
