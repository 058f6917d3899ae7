//! Ids for idempotent producers.

use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::changing;
use crate::Error;
use crate::server::Server;

/// Gives a new id at epoch 0, also to a producer that has one and wants to begin again, as Kafka
/// does for those without transactions.
pub(super) async fn init(
    server: Arc<Server>,
    ask: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let refuse = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if ask.transactional_id.is_some() {
        return refuse(ResponseError::TransactionalIdAuthorizationFailed);
    }
    let shared = server.clone();
    match changing(&server, move || shared.producer_ids.next()).await {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0),
        Err(error) => {
            tracing::error!(
                error = error.with_sources(),
                "a producer id could not be made durable"
            );
            if matches!(error, Error::Sync { .. }) {
                server.syncer.fail(error);
            }
            refuse(ResponseError::KafkaStorageError)
        }
    }
}
