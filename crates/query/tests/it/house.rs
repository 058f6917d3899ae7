//! Postgres with the ad-status tables, a server on a free port, and the two ends
//! that a test plays: who commits batches, and who calls.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use compline_ad_status::AdStatus;
use compline_api::query::{ad_service_client::AdServiceClient, ad_service_server::AdServiceServer};
use compline_cluster::{Cluster, ClusterConfig};
use compline_event::{
    Envelope, Event, EventId, Offset, Partition, RecordId, Recorded, Source, TenantId, Token,
    Topic,
    ad_events::{AdIssueRaised, AdStatusChanged, Level},
    timestamp::to_proto,
};
use compline_query::AdApi;
use compline_readmodel::{
    Database, Projection, Reader, Role, Wakes,
    generation::{self, Plan, SCHEMA, schema_name},
    role, wake,
};
use compline_runtime::{
    Health,
    auth::{self, AuthError, Authenticate, Principal},
    grpc::{GrpcConfig, GrpcServer},
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use time::{Duration, OffsetDateTime, macros::datetime};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{
    Request, Status, async_trait,
    metadata::MetadataValue,
    service::{Interceptor, Routes, interceptor::InterceptedService},
    transport::Channel,
};
use uuid::Uuid;

const PARTITIONS: u32 = 3;
pub(crate) const NOON: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

pub(crate) type Client = AdServiceClient<InterceptedService<Channel, Key>>;

pub(crate) struct House {
    uri: String,
    channel: Channel,
    projector: PgPool,
    ends: BTreeMap<Partition, Offset>,
    _server: AbortOnDropHandle<()>,
    _cluster: Cluster,
    _folder: tempfile::TempDir,
}

impl House {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::start(ClusterConfig {
            prefer_system: true,
            lose_data_on_crash: true,
            shared_buffers: "32MB".into(),
            ..ClusterConfig::new(folder.path().join("postgres"))
        });
        let cluster = cluster.await.unwrap();
        let admin: PgConnectOptions = cluster.url("postgres").parse().unwrap();
        role::bootstrap(&admin, "compline", |_| "test".to_owned())
            .await
            .unwrap();
        let options = admin.database("compline");
        let database =
            Database::new(move |role| options.clone().username(role.as_str()).password("test"));
        generation::migrate(&database).await.unwrap();
        generation::create(&database, &Plan::first::<AdStatus>(|_| PARTITIONS))
            .await
            .unwrap();

        let wakes = Wakes::start(database.pool(Role::Query, SCHEMA, 1));
        let reader = Reader::new(compline_ad_status::NAME, database.clone(), wakes, 4);
        let (uri, server) = serve(reader).await;
        let channel = Channel::from_shared(uri.clone()).unwrap();
        Self {
            uri,
            channel: channel.connect().await.unwrap(),
            projector: database.pool(Role::Projector, &schema_name(AdStatus::NAME, 1), 1),
            ends: BTreeMap::new(),
            _server: AbortOnDropHandle::new(server),
            _cluster: cluster,
            _folder: folder,
        }
    }

    /// A client with the key of `tenant`.
    pub(crate) fn client(&self, tenant: TenantId) -> Client {
        AdServiceClient::with_interceptor(self.channel.clone(), Key(tenant))
    }

    /// The same on a connection of its own.
    pub(crate) async fn another_client(&self, tenant: TenantId) -> Client {
        let channel = Channel::from_shared(self.uri.clone()).unwrap();
        AdServiceClient::with_interceptor(channel.connect().await.unwrap(), Key(tenant))
    }

    pub(crate) fn nobody(&self) -> AdServiceClient<Channel> {
        AdServiceClient::new(self.channel.clone())
    }

    /// Appends and commits one batch per partition, as projectors do. Says where
    /// the read model is then.
    pub(crate) async fn told(&mut self, tenant: TenantId, events: Vec<Event>) -> Token {
        let mut batches: BTreeMap<Partition, Vec<Recorded>> = BTreeMap::new();
        for event in events {
            let recorded = self.append(tenant, event);
            let batch = batches.entry(recorded.at.partition).or_default();
            batch.push(recorded);
        }
        for (partition, batch) in batches {
            self.commit(tenant, partition, &batch).await;
        }
        self.seen()
    }

    /// Where the log ends.
    pub(crate) fn seen(&self) -> Token {
        let position = |(partition, next_offset): (&Partition, &Offset)| compline_event::Position {
            topic: Topic::Ad,
            partition: *partition,
            next_offset: *next_offset,
        };
        self.ends.iter().map(position).collect()
    }

    fn append(&mut self, tenant: TenantId, event: Event) -> Recorded {
        let ad_id = match &event {
            Event::AdStatusChanged(event) => &event.ad_id,
            Event::AdIssueRaised(event) => &event.ad_id,
            other => panic!("{other:?}"),
        };
        let sum: usize = ad_id.bytes().map(usize::from).sum();
        let partition = Partition(i32::try_from(sum % PARTITIONS as usize).unwrap());
        let end = self.ends.entry(partition).or_insert(Offset(0));
        let offset = *end;
        *end = offset.next();
        Recorded {
            at: RecordId {
                topic: Topic::Ad,
                partition,
                offset,
            },
            key: Bytes::from(format!("{tenant}/{ad_id}")),
            envelope: Envelope {
                event_id: EventId::new(Uuid::now_v7()),
                tenant: Some(tenant),
                occurred_at: NOON,
                // Several ads have the same, so that orders have ties.
                recorded_at: NOON + Duration::seconds(offset.0 / 3),
                source: Source::MetaWebhook,
                actor: String::new(),
                causation_id: None,
                correlation_id: None,
                stamp: None,
                traceparent: String::new(),
                event,
            },
        }
    }

    async fn commit(&self, tenant: TenantId, partition: Partition, batch: &[Recorded]) {
        let mut tx = self.projector.begin().await.unwrap();
        sqlx::query(
            "UPDATE compline.checkpoint SET next_offset = $1 WHERE topic = 'ad' AND partition = $2",
        )
        .bind(self.ends[&partition].0)
        .bind(partition.0)
        .execute(&mut *tx)
        .await
        .unwrap();
        let mut rows = AdStatus::load(&mut tx, batch).await.unwrap();
        for event in batch {
            AdStatus::apply(&mut rows, event).unwrap();
        }
        AdStatus::store(&mut tx, rows).await.unwrap();
        wake::notify(&mut tx, AdStatus::NAME, 1, &HashSet::from([tenant]))
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

pub(crate) fn tenant(number: u128) -> TenantId {
    TenantId::new(Uuid::from_u128(number + 1))
}

/// Meta says `status` of an ad of account 123, `minute` minutes after noon.
pub(crate) fn status(ad_id: &str, minute: i64, status: &str) -> Event {
    Event::AdStatusChanged(AdStatusChanged {
        ad_account_id: "123".into(),
        ad_id: ad_id.into(),
        level: Level::Ad.into(),
        new_status: status.into(),
        changed_at: Some(to_proto(NOON + Duration::minutes(minute))),
        ..AdStatusChanged::default()
    })
}

pub(crate) fn issue(ad_id: &str, error_code: &str) -> Event {
    Event::AdIssueRaised(AdIssueRaised {
        ad_account_id: "123".into(),
        ad_id: ad_id.into(),
        level: Level::Ad.into(),
        error_code: error_code.into(),
        summary: "No card".into(),
        message: "Add a card".into(),
        raised_at: Some(to_proto(NOON)),
    })
}

/// An event that changes nothing of an ad but its version.
pub(crate) fn touch(ad_id: &str) -> Event {
    Event::AdStatusChanged(AdStatusChanged {
        ad_id: ad_id.into(),
        late: true,
        ..AdStatusChanged::default()
    })
}

/// The fields that a refusal names.
pub(crate) fn fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let details = status.get_error_details();
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.clone());
    violations
        .unwrap_or_default()
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

/// Sends a tenant's key with every call.
#[derive(Clone, Debug)]
pub(crate) struct Key(TenantId);

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let bearer = format!("Bearer {}", self.0);
        let value = MetadataValue::try_from(bearer).unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// Who says a tenant's id is of that tenant.
struct Keys;

#[async_trait]
impl Authenticate for Keys {
    async fn authenticate(&self, bearer: &str) -> Result<Principal, AuthError> {
        let tenant: Uuid = bearer.parse().map_err(|_| AuthError::Invalid)?;
        Ok(Principal {
            // The nil one is the operator's.
            tenant: (!tenant.is_nil()).then_some(tenant),
            subject: "test".into(),
            role: auth::Role::Standard,
        })
    }
}

async fn serve(reader: Reader) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let server = GrpcServer::new("query", GrpcConfig::default(), Health::new())
        .descriptors(compline_api::DESCRIPTOR_SET)
        .authenticate(Arc::new(Keys));
    let routes = Routes::new(AdServiceServer::new(AdApi::new(reader)));
    let serving = server.serve(listener, routes, CancellationToken::new());
    let server = tokio::spawn(async move { serving.await.unwrap() });
    (uri, server)
}
