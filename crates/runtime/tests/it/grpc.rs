//! A gRPC server with keys, asked by a real client.

pub(crate) mod echo;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use compline_runtime::auth::{AuthError, Authenticate, Principal, Role};
use compline_runtime::grpc::{GrpcConfig, GrpcServer};
use compline_runtime::{Health, bind};
use echo::EchoClient;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use uuid::Uuid;

struct Keys;

#[async_trait]
impl Authenticate for Keys {
    async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthError> {
        match bearer {
            "good" => Ok(Principal {
                tenant: Some(Uuid::nil()),
                subject: "ada".to_owned(),
                role: Role::Auditor,
            }),
            "down" => Err(AuthError::Unavailable),
            _ => Err(AuthError::Invalid),
        }
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    pub(crate) channel: Channel,
    health: Health,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

pub(crate) async fn open() -> Server {
    let health = Health::new();
    let config = GrpcConfig {
        drain: Duration::from_secs(5),
        ..GrpcConfig::default()
    };
    let listener = bind("test", config.listen).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let server = GrpcServer::new("test", config, health.clone())
        .descriptors(&echo::descriptors())
        .authenticate(Arc::new(Keys));
    let served = tokio::spawn({
        let stop = stop.clone();
        async move { server.serve(listener, echo::routes(), stop).await.unwrap() }
    });
    let channel = Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    Server {
        address,
        channel,
        health,
        stop,
        served,
    }
}

fn with(name: &'static str, value: &str, text: &str) -> Request<String> {
    let mut request = Request::new(text.to_owned());
    request.metadata_mut().insert(name, value.parse().unwrap());
    request
}

pub(crate) fn keyed(text: &str) -> Request<String> {
    with("authorization", "Bearer good", text)
}

#[tokio::test]
async fn methods_need_a_key_and_see_who_calls() {
    let mut echo = EchoClient::new(open().await.channel);
    for good in [
        keyed("hi"),
        with("authorization", "bearer good", "hi"),
        with("x-api-key", "good", "hi"),
    ] {
        // The method answers with its caller and with whether it could see the key.
        assert_eq!(
            echo.say(good).await.unwrap().into_inner(),
            "ada auditor hi, key hidden"
        );
    }
    for (request, code) in [
        (Request::new("hi".to_owned()), Code::Unauthenticated),
        (
            with("authorization", "Bearer bad", "hi"),
            Code::Unauthenticated,
        ),
        (
            with("authorization", "Bearer ", "hi"),
            Code::Unauthenticated,
        ),
        (
            with("authorization", "Basic good", "hi"),
            Code::Unauthenticated,
        ),
        (with("x-api-key", "", "hi"), Code::Unauthenticated),
        (
            with("authorization", "Bearer down", "hi"),
            Code::Unavailable,
        ),
    ] {
        let status = echo.say(request).await.unwrap_err();
        assert_eq!(status.code(), code, "{status}");
        assert!(!status.message().contains("bad"), "{status}");
    }
}

#[tokio::test]
async fn health_follows_the_registry_without_a_key() {
    let server = open().await;
    let check = server.health.register("store");
    let mut client = HealthClient::new(server.channel.clone());
    let mut ask = async |service: &str| {
        // The registry is followed by a task of its own.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        client.check(request).await.unwrap().into_inner().status()
    };
    for service in ["", "test.Echo"] {
        check.starting();
        assert_eq!(ask(service).await, ServingStatus::NotServing);
        check.ready();
        assert_eq!(ask(service).await, ServingStatus::Serving);
    }
    server.health.stopping();
    assert_eq!(ask("").await, ServingStatus::NotServing);
}

#[tokio::test]
async fn reflection_lists_the_services_without_a_key() {
    let mut client = ServerReflectionClient::new(open().await.channel);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}");
    };
    let names: Vec<String> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    assert!(names.contains(&"test.Echo".to_owned()), "{names:?}");
    assert!(
        names.contains(&"grpc.health.v1.Health".to_owned()),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_panic_is_internal_and_the_next_call_works() {
    let mut echo = EchoClient::new(open().await.channel);
    let status = echo.say(keyed("panic")).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "internal error")
    );
    assert!(echo.say(keyed("hi")).await.is_ok());
    let status = echo.unknown(keyed("hi")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

/// By hand, because tonic's client has a timer of its own for the deadline that it sends.
#[tokio::test]
async fn the_callers_deadline_is_kept_by_the_server() {
    let stream = TcpStream::connect(open().await.address).await.unwrap();
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    // A message of 7 bytes: field 1, text of 5 bytes.
    let body = Full::new(Bytes::from_static(b"\0\0\0\0\x07\x0a\x05sleep"));
    let request = http::Request::post("http://x/test.Echo/Say")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-api-key", "good")
        .header("grpc-timeout", "100m")
        .body(body)
        .unwrap();
    let started = Instant::now();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "4", "DEADLINE_EXCEEDED");
    let waited = started.elapsed();
    assert!(
        waited >= Duration::from_millis(90) && waited < Duration::from_millis(450),
        "{waited:?}"
    );
}

#[tokio::test]
async fn a_stop_finishes_calls_and_ends_watchers() {
    let server = open().await;
    let mut echo = EchoClient::new(server.channel.clone());
    let mut watcher = echo.watch(keyed("hi")).await.unwrap().into_inner();
    assert_eq!(watcher.message().await.unwrap(), Some("hi".to_owned()));
    let call = tokio::spawn({
        let mut echo = EchoClient::new(server.channel.clone());
        async move { echo.say(keyed("finish")).await }
    });
    echo::BEGUN.notified().await;
    let started = Instant::now();
    server.stop.cancel();
    assert_eq!(
        watcher.message().await.unwrap_err().code(),
        Code::Unavailable
    );
    assert_eq!(
        call.await.unwrap().unwrap().into_inner(),
        "ada auditor finish, key hidden"
    );
    server.served.await.unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "a watcher does not hold up the drain"
    );
}
