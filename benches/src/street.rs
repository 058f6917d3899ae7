//! The rooms put together as `compline up` puts them: engine, projectors, doors.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use compline_activity::ActivityTrail;
use compline_ad::AdEngine;
use compline_ad_status::AdStatus;
use compline_api::{
    DESCRIPTOR_SET, key::ApiKey, query::activity_service_server::ActivityServiceServer,
    query::ad_service_server::AdServiceServer,
};
use compline_engine::{Engine, EngineConfig, EngineRunner};
use compline_event::{
    Envelope, Event, EventId, Source, TenantId, Token, Topic,
    account_events::AccountConnected,
    envelope_proto::Precondition,
    tenant_events::{ApiKeyIssued, OrganizationCreated, Role as KeyRole},
};
use compline_event::{Offset, Position};
use compline_eventlog::{Appender, AppenderConfig, Log};
use compline_ingress::{Clock, Ingress, IngressConfig, sample};
use compline_projector::{ProjectionFold, Projector, ProjectorConfig};
use compline_query::{ActivityApi, AdApi, TenantKeys};
use compline_readmodel::{
    Database, Projection, Reader, Role, Wakes, Want,
    generation::{self, Plan, SCHEMA, partitions, schema_name},
};
use compline_runtime::{
    Health,
    grpc::{GrpcConfig, GrpcServer},
};
use compline_tenancy::{KeyStore, Tenancy};
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use uuid::Uuid;

use crate::{
    ads::{self, ACCOUNTS, TENANTS},
    house::partitions_of,
};

/// Connections of each projector, and of each reader.
pub(crate) const POOL: u32 = 16;

/// Tasks of the street; they end with it.
pub(crate) struct Street {
    log: Log,
    database: Database,
    wakes: Wakes,
    running: JoinSet<Result<()>>,
    stop: CancellationToken,
}

impl Street {
    pub(crate) async fn new(log: Log, database: Database) -> Result<Self> {
        for plan in [
            Plan::first::<Tenancy>(partitions_of),
            Plan::first::<AdStatus>(partitions_of),
            Plan::first::<ActivityTrail>(partitions_of),
        ] {
            generation::create(&database, &plan).await?;
        }
        let wakes = Wakes::start(database.pool(Role::Query, SCHEMA, 1));
        Ok(Self {
            log,
            database,
            wakes,
            running: JoinSet::new(),
            stop: CancellationToken::new(),
        })
    }

    pub(crate) fn project<P: Projection>(&mut self) {
        let schema = schema_name(P::NAME, 1);
        let projector = Projector::new(
            Arc::new(ProjectionFold::<P>::of(1)),
            self.log.clone(),
            self.database.pool(Role::Projector, &schema, POOL),
            ProjectorConfig::new(P::NAME, 1),
        );
        let stop = self.stop.clone();
        self.running
            .spawn(async move { Ok(projector.run(stop).await?) });
    }

    pub(crate) async fn decide(&mut self) -> Result<()> {
        let all = |topics: &[Topic]| -> Vec<_> {
            let of = |topic: &Topic| partitions(*topic, partitions_of(*topic));
            topics.iter().flat_map(of).collect()
        };
        let start = |(topic, partition)| (topic, partition, Offset(0));
        let starts = all(AdEngine::INPUTS).into_iter().map(start).collect();
        let outputs = all(AdEngine::OUTPUTS);
        compline_engine::migrate::<AdEngine>(&self.database, starts, outputs).await?;
        let runner = EngineRunner::new(
            AdEngine,
            self.log.clone(),
            self.database.clone(),
            &EngineConfig::default(),
        );
        let stop = self.stop.clone();
        self.running
            .spawn(async move { Ok(runner.run(stop).await?) });
        Ok(())
    }

    /// Opens the door for webhooks.
    pub(crate) async fn take_in(&mut self) -> Result<SocketAddr> {
        let (address, listener) = listen().await?;
        let ingress = ingress(&self.log)?;
        let stop = self.stop.clone();
        self.running
            .spawn(async move { Ok(ingress.serve(listener, stop).await?) });
        Ok(address)
    }

    /// Opens the door for readers.
    pub(crate) async fn answer(&mut self) -> Result<SocketAddr> {
        let (address, listener) = listen().await?;
        let keys = TenantKeys::new(KeyStore::new(self.reader(compline_tenancy::NAME)));
        let ads = AdApi::new(self.reader(compline_ad_status::NAME));
        let activity = ActivityApi::new(self.reader(compline_activity::NAME));
        let routes = Routes::new(AdServiceServer::new(ads))
            .add_service(ActivityServiceServer::new(activity));
        let server = GrpcServer::new("query", GrpcConfig::default(), Health::new())
            .descriptors(DESCRIPTOR_SET)
            .authenticate(Arc::new(keys));
        let stop = self.stop.clone();
        self.running
            .spawn(async move { Ok(server.serve(listener, routes, stop).await?) });
        Ok(address)
    }

    fn reader(&self, projection: &'static str) -> Reader {
        Reader::new(projection, self.database.clone(), self.wakes.clone(), POOL)
    }

    /// Waits until `projection` has everything that stands on its `topics` now.
    pub(crate) async fn has_read(&self, projection: &'static str, topics: &[Topic]) -> Result<()> {
        let all: Vec<_> = topics
            .iter()
            .flat_map(|topic| partitions(*topic, partitions_of(*topic)))
            .collect();
        let ends = self.log.ends(&all).await?;
        let token: Token = ends
            .into_iter()
            .map(|(topic, partition, next_offset)| Position {
                topic,
                partition,
                next_offset,
            })
            .collect();
        let want = Want::at_least(token, std::time::Duration::from_secs(120));
        let reader = self.reader(projection);
        reader.snapshot(TenantId::OPERATOR, &want).await?;
        Ok(())
    }

    /// Whether everything still runs.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.running.try_join_next() {
            None => Ok(()),
            Some(ended) => {
                ended??;
                anyhow::bail!("a part of the street ended by itself")
            }
        }
    }

    pub(crate) async fn close(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        Ok(())
    }
}

pub(crate) async fn listen() -> Result<(SocketAddr, TcpListener)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    Ok((listener.local_addr()?, listener))
}

/// A door that takes what is signed with the documented sample secret.
pub(crate) fn ingress(log: &Log) -> Result<Ingress> {
    let config = IngressConfig {
        meta: sample::meta(),
        allow_sample_secrets: true,
        ..IngressConfig::default()
    };
    let appender = log.appender(config.appender())?;
    Ok(Ingress::new(config, appender, Clock::system())?)
}

/// Appends what makes the tenants of [`ads`], their accounts and a key of each.
pub(crate) async fn announce_tenants(log: &Log) -> Result<Vec<String>> {
    let appender = log.appender(AppenderConfig::without_timeout())?;
    let mut keys = Vec::with_capacity(TENANTS);
    for number in 0..TENANTS {
        let tenant = ads::tenant(number);
        let key = ApiKey::generate(tenant.as_uuid(), format!("k{number}"));
        let created = Event::OrganizationCreated(OrganizationCreated {
            display_name: format!("Tenant {number}"),
            precondition: precondition(),
        });
        let issued = Event::ApiKeyIssued(ApiKeyIssued {
            key_id: key.key_id.clone(),
            display_name: "of the benches".to_owned(),
            secret_sha256: key.secret_sha256().to_vec().into(),
            role: KeyRole::Standard.into(),
            precondition: precondition(),
        });
        for event in [created, issued] {
            tell(&appender, tenant, event).await?;
        }
        keys.push(key.reveal());
    }
    for number in 0..ACCOUNTS {
        let connected = Event::AccountConnected(AccountConnected {
            ad_account_id: ads::account(number),
            display_name: String::new(),
            precondition: precondition(),
        });
        tell(&appender, ads::tenant(number), connected).await?;
    }
    ensure!(keys.len() == TENANTS);
    Ok(keys)
}

async fn tell(appender: &Appender, tenant: TenantId, event: Event) -> Result<()> {
    let (topic, key) = event.destination(tenant).context("a topic")?;
    let now = OffsetDateTime::now_utc();
    let envelope = Envelope {
        event_id: EventId::new(Uuid::new_v4()),
        tenant: Some(tenant),
        occurred_at: now,
        recorded_at: now,
        source: Source::User,
        actor: "benches".to_owned(),
        causation_id: None,
        correlation_id: None,
        stamp: None,
        traceparent: String::new(),
        event,
    };
    appender.append(topic, None, key, &envelope).await?;
    Ok(())
}

fn precondition() -> Option<Precondition> {
    Some(Precondition {
        request_id: Bytes::copy_from_slice(Uuid::new_v4().as_bytes()),
        expected_version: None,
    })
}
