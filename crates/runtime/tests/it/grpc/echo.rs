//! A service written by hand, as tonic's generator would, with strings for messages.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use compline_runtime::auth::principal;
use compline_runtime::telemetry::trace_context::current_traceparent;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt};
use http::uri::PathAndQuery;
use prost::Message;
use prost_types::{
    DescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
    ServiceDescriptorProto,
};
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// Told when the method has been asked to "finish".
pub(crate) static BEGUN: Notify = Notify::const_new();

pub(crate) fn routes() -> Routes {
    Routes::new(Echo)
}

pub(crate) fn descriptors() -> Vec<u8> {
    let method = |name: &str, streams: bool| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".test.Text".to_owned()),
        output_type: Some(".test.Text".to_owned()),
        server_streaming: Some(streams),
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("echo.proto".to_owned()),
        package: Some("test".to_owned()),
        message_type: vec![DescriptorProto {
            name: Some("Text".to_owned()),
            ..Default::default()
        }],
        service: vec![ServiceDescriptorProto {
            name: Some("Echo".to_owned()),
            method: vec![method("Say", false), method("Watch", true)],
            ..Default::default()
        }],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec()
}

#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok(match request.uri().path() {
                "/test.Echo/Say" => grpc.unary(Say, request).await,
                "/test.Echo/Watch" => grpc.server_streaming(Watch, request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

struct Say;

impl UnaryService<String> for Say {
    type Response = String;
    type Future = BoxFuture<'static, Result<Response<String>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let caller = principal(&request)?;
            let who = format!("{} {}", caller.subject, caller.role);
            let key = match request.metadata().contains_key("authorization")
                || request.metadata().contains_key("x-api-key")
            {
                true => "seen",
                false => "hidden",
            };
            let text = request.get_ref();
            match text.as_str() {
                "panic" => panic!("a secret of the server"),
                "finish" => {
                    BEGUN.notify_one();
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                "sleep" => tokio::time::sleep(Duration::from_millis(500)).await,
                "trace" => return Ok(Response::new(current_traceparent().unwrap_or_default())),
                _ => {}
            }
            Ok(Response::new(format!("{who} {text}, key {key}")))
        })
    }
}

struct Watch;

impl ServerStreamingService<String> for Watch {
    type Response = String;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<String>) -> Self::Future {
        Box::pin(async move {
            let first = futures_util::stream::iter([Ok(request.into_inner())]);
            let rest = futures_util::stream::pending();
            Ok(Response::new(
                Box::pin(first.chain(rest)) as Self::ResponseStream
            ))
        })
    }
}

pub(crate) struct EchoClient(tonic::client::Grpc<Channel>);

impl EchoClient {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(tonic::client::Grpc::new(channel))
    }

    pub(crate) async fn say(
        &mut self,
        request: Request<String>,
    ) -> Result<Response<String>, Status> {
        self.unary("/test.Echo/Say", request).await
    }

    pub(crate) async fn unknown(
        &mut self,
        request: Request<String>,
    ) -> Result<Response<String>, Status> {
        self.unary("/test.Echo/Sing", request).await
    }

    pub(crate) async fn watch(
        &mut self,
        request: Request<String>,
    ) -> Result<Response<Streaming<String>>, Status> {
        self.0.ready().await.unwrap();
        let path = PathAndQuery::from_static("/test.Echo/Watch");
        let codec = ProstCodec::<String, String>::default();
        self.0.server_streaming(request, path, codec).await
    }

    async fn unary(
        &mut self,
        path: &'static str,
        request: Request<String>,
    ) -> Result<Response<String>, Status> {
        self.0.ready().await.unwrap();
        let codec = ProstCodec::<String, String>::default();
        self.0
            .unary(request, PathAndQuery::from_static(path), codec)
            .await
    }
}
