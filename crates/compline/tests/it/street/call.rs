//! Any method of any service, called by its name with JSON, as grpcurl does.

use std::{sync::LazyLock, time::Duration};

use compline_api::DESCRIPTOR_SET;
use http::uri::PathAndQuery;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde_json::Value;
use tonic::{
    Request, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use crate::house::House;

const ANSWER: Duration = Duration::from_secs(30);

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR_SET).unwrap());

/// Every method there is, such as `compline.query.v1.AdService/GetAd`.
pub(super) fn methods() -> impl Iterator<Item = String> {
    let services = POOL.services();
    services.flat_map(|service| {
        let methods: Vec<_> = service.methods().collect();
        methods.into_iter().map(|method| name_of(&method))
    })
}

/// The doors of a street.
pub(super) struct Doors {
    query: Channel,
    command: Channel,
}

impl Doors {
    pub(super) fn of(house: &House) -> Self {
        let open = |at| {
            let endpoint = Endpoint::from_shared(format!("http://{at}")).unwrap();
            endpoint.timeout(ANSWER).connect_lazy()
        };
        let at = &house.at.addresses;
        Self {
            query: open(at.query),
            command: open(at.command),
        }
    }

    /// Calls `method` and gives its answers, as JSON: one, or as many as a stream
    /// has until it has caught up.
    pub(super) async fn call(
        &self,
        method: &str,
        key: Option<&str>,
        request: &str,
    ) -> Result<Vec<Value>, Status> {
        let described = described(method);
        let mut json = serde_json::Deserializer::from_str(request);
        let message = DynamicMessage::deserialize(described.input(), &mut json).unwrap();
        let mut request = Request::new(message);
        if let Some(key) = key {
            let bearer = format!("Bearer {key}").parse().unwrap();
            request.metadata_mut().insert("authorization", bearer);
        }
        let channel = match described.parent_service().package_name() {
            "compline.query.v1" => self.query.clone(),
            "compline.command.v1" => self.command.clone(),
            other => panic!("{other} has no door"),
        };
        let path = PathAndQuery::try_from(format!("/{method}")).unwrap();
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        // On the wire a single answer is a stream of one.
        let codec = Dynamic(described.output());
        let stream = client.server_streaming(request, path, codec).await?;
        let mut stream = stream.into_inner();
        let mut answers = Vec::new();
        while let Some(answer) = stream.message().await? {
            let answer = serde_json::to_value(&answer).unwrap();
            let caught_up = answer["caughtUp"] == true;
            answers.push(answer);
            if caught_up {
                break;
            }
        }
        Ok(answers)
    }
}

fn described(method: &str) -> MethodDescriptor {
    let mut methods = POOL.services().flat_map(|service| {
        let methods: Vec<_> = service.methods().collect();
        methods
    });
    let found = methods.find(|described| name_of(described) == method);
    found.unwrap_or_else(|| panic!("there is no {method}"))
}

fn name_of(method: &MethodDescriptor) -> String {
    let service = method.parent_service();
    format!("{}/{}", service.full_name(), method.name())
}

/// The messages of one method.
struct Dynamic(MessageDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self(self.0.clone())
    }

    fn decoder(&mut self) -> Self {
        Self(self.0.clone())
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, item: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.0.clone(), buffer)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
