//! The routes and the server.

use axum::Router;
use axum::routing::{get, post};
use compline_eventlog::Appender;
use compline_runtime::http;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::body::Memory;
use crate::clock::Clock;
use crate::config::IngressConfig;
use crate::door::{Door, Hall};
use crate::error::IngressError;
use crate::failure::Failure;
use crate::handshake::{self, Tokens};
use crate::signature::Keys;
use crate::vendor::Vendor;

/// The server's name in logs and metrics.
const SERVER: &str = "ingress";

/// The door for webhooks, ready to be opened.
#[derive(Debug)]
pub struct Ingress {
    config: IngressConfig,
    hall: Hall,
}

impl Ingress {
    /// `appender` is to be made with [`IngressConfig::appender`]: its time-out is what senders wait.
    pub fn new(
        config: IngressConfig,
        appender: Appender,
        clock: Clock,
    ) -> Result<Self, IngressError> {
        config.check()?;
        config.check_secrets()?;
        let hall = Hall {
            memory: Memory::new(config.body_memory),
            clock,
            appender,
            failure: Failure::default(),
        };
        Ok(Self { config, hall })
    }

    /// The routes within their limits, for tests without a socket.
    pub fn router(&self) -> Router {
        http::harden(SERVER, self.routes(), &self.config.http)
    }

    /// Serves until `stop`, then finishes what is in flight for at most `http.drain`. An error
    /// before that means that the log's appender is broken and a new start is needed.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), IngressError> {
        let address = listener
            .local_addr()
            .map_err(|source| IngressError::Address { source })?;
        if let Some(key) = self.config.sample_open_to_others(address) {
            return Err(IngressError::SampleSecret { key, address });
        }
        let halt = stop.child_token();
        let serving = http::serve(
            SERVER,
            listener,
            self.routes(),
            &self.config.http,
            halt.clone(),
        );
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            served = &mut serving => served?,
            () = self.hall.failure.happened() => {
                halt.cancel();
                serving.await?;
            }
        }
        match self.hall.failure.reason() {
            Some(reason) if !stop.is_cancelled() => Err(IngressError::Appender {
                reason: reason.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn routes(&self) -> Router {
        let mut routes = Router::new();
        let meta = Keys::new(&self.config.meta.app_secrets);
        if !meta.is_empty() {
            let tokens = Tokens::new(&self.config.meta.verify_tokens);
            let door = Door::new(Vendor::Meta, meta, &self.hall);
            routes = routes.route(
                "/webhooks/meta",
                get(handshake::answer)
                    .with_state(tokens)
                    .post(Door::receive)
                    .with_state(door),
            );
        }
        let stripe = Keys::new(&self.config.stripe.signing_secrets);
        if !stripe.is_empty() {
            let door = Door::new(Vendor::Stripe, stripe, &self.hall);
            routes = routes.route("/webhooks/stripe", post(Door::receive).with_state(door));
        }
        routes
    }
}
