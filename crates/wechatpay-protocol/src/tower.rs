use crate::error::BoxError;
use crate::transport::{Transport, TransportError};
use bytes::Bytes;
use http_body::Body;
use std::future::poll_fn;
use tower_service::Service;

/// Makes a transport of any [`tower_service::Service`] from `http::Request<Bytes>` to a response, so that the middleware
/// of a tower stack stays in place.
///
/// A layer must carry the request as it is: whatever it changes of path, query or body breaks the signature. An error of
/// the stack counts as one after which the request may have been executed, unless it is a [`TransportError`] itself, which
/// then says so.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use wechatpay_protocol::{Tower, Transport};
///
/// # #[derive(Clone)] struct Stack;
/// # impl tower_service::Service<http::Request<Bytes>> for Stack {
/// #     type Response = http::Response<Full<Bytes>>;
/// #     type Error = std::io::Error;
/// #     type Future = std::future::Ready<Result<Self::Response, Self::Error>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> { Ok(()).into() }
/// #     fn call(&mut self, _: http::Request<Bytes>) -> Self::Future { std::future::ready(Ok(http::Response::default())) }
/// # }
/// # let your_stack = Stack;
/// fn needs_a_transport(_: impl Transport) {}
/// needs_a_transport(Tower(your_stack));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Tower<S>(pub S);

impl<S, B> Transport for Tower<S>
where
    S: Service<http::Request<Bytes>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send,
{
    type Body = B;

    async fn call(&self, request: http::Request<Bytes>) -> Result<http::Response<B>, TransportError> {
        let mut service = self.0.clone();
        // A stack that is not ready has been sent nothing.
        poll_fn(|context| service.poll_ready(context))
            .await
            .map_err(|error| keep(error.into(), TransportError::not_sent))?;
        service.call(request).await.map_err(|error| keep(error.into(), TransportError::interrupted))
    }
}

/// The error itself where it is one of ours, which knows best.
fn keep(error: BoxError, otherwise: impl FnOnce(BoxError) -> TransportError) -> TransportError {
    error.downcast().map_or_else(otherwise, |error| *error)
}
