//! The methods that the descriptors name, each with its metrics made once.

use std::collections::HashMap;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;

use crate::BoxError;
use crate::metric_definitions::{GRPC_IN_FLIGHT, GRPC_REQUESTS, GRPC_SECONDS};

/// All status codes of gRPC, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Known methods by their path, `/package.Service/Method`; callers may invent others, and those
/// share one entry so that no label grows with them.
#[derive(Debug, Clone)]
pub(super) struct Methods(Arc<Table>);

#[derive(Debug)]
struct Table {
    services: Vec<String>,
    known: HashMap<String, Arc<Method>>,
    other: Arc<Method>,
}

/// One method's names and metrics.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) service: String,
    pub(super) method: String,
    pub(super) in_flight: Gauge,
    seconds: Histogram,
    requests: [Counter; CODES.len()],
}

impl Methods {
    pub(super) fn new(descriptor_sets: &[Vec<u8>]) -> Result<Self, BoxError> {
        let mut services = Vec::new();
        let mut known = HashMap::new();
        let open = [tonic_health::pb::FILE_DESCRIPTOR_SET];
        for set in descriptor_sets.iter().map(Vec::as_slice).chain(open) {
            for file in FileDescriptorSet::decode(set)?.file {
                for service in &file.service {
                    let name = match file.package() {
                        "" => service.name().to_owned(),
                        package => format!("{package}.{}", service.name()),
                    };
                    for method in &service.method {
                        let path = format!("/{name}/{}", method.name());
                        known.insert(path, Arc::new(Method::new(&name, method.name())));
                    }
                    services.push(name);
                }
            }
        }
        services.sort();
        services.dedup();
        Ok(Self(Arc::new(Table {
            services,
            known,
            other: Arc::new(Method::new("other", "other")),
        })))
    }

    pub(super) fn services(&self) -> Vec<String> {
        self.0.services.clone()
    }

    pub(super) fn get(&self, path: &str) -> Arc<Method> {
        self.0.known.get(path).unwrap_or(&self.0.other).clone()
    }
}

impl Method {
    fn new(service: &str, method: &str) -> Self {
        let (service, method) = (service.to_owned(), method.to_owned());
        Self {
            in_flight: gauge!(
                GRPC_IN_FLIGHT, "service" => service.clone(), "method" => method.clone()
            ),
            seconds: histogram!(
                GRPC_SECONDS, "service" => service.clone(), "method" => method.clone()
            ),
            requests: CODES.map(|code| {
                counter!(
                    GRPC_REQUESTS,
                    "service" => service.clone(), "method" => method.clone(), "code" => code
                )
            }),
            service,
            method,
        }
    }

    pub(super) fn finished(&self, code: Code, elapsed: std::time::Duration) {
        self.seconds.record(elapsed);
        self.requests[code as usize].increment(1);
    }
}

/// The code's name as the specification writes it.
pub(super) fn code_name(code: Code) -> &'static str {
    CODES[code as usize]
}
