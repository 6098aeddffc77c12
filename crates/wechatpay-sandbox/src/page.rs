//! The page for people.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

pub(crate) fn refusal(status: StatusCode, message: &str) -> Response {
    (status, message.to_owned()).into_response()
}
pub(crate) async fn show() -> Response {
    refusal(StatusCode::OK, "")
}
pub(crate) async fn style() -> Response {
    refusal(StatusCode::OK, "")
}
pub(crate) async fn script() -> Response {
    refusal(StatusCode::OK, "")
}
