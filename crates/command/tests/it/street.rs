//! A street of a test's own: broker, Postgres, the two projectors, and one server
//! with the command services and the tenancy and activity reads.

use std::{sync::Arc, time::Duration};

use compline_activity::ActivityTrail;
use compline_api::{
    command::{
        ConnectAccountRequest, CreateApiKeyRequest, CreateTenantRequest,
        account_service_client::AccountServiceClient, api_key_service_client::ApiKeyServiceClient,
        notification_service_client::NotificationServiceClient,
        tenant_service_client::TenantServiceClient,
    },
    key::ApiKey,
    query::{
        Consistency, KeyRole, Position, activity_service_client::ActivityServiceClient,
        activity_service_server::ActivityServiceServer,
        tenancy_service_client::TenancyServiceClient, tenancy_service_server::TenancyServiceServer,
    },
};
use compline_command::{
    CommandError, Commands,
    auth::{WithOperator, operator_key},
};
use compline_event::{Envelope, Event, EventId, Offset, Source, TenantId, Topic};
use compline_eventlog::{Appender, AppenderConfig, Log, TopicSpec};
use compline_projector::{Fold, ProjectionFold, Projector, ProjectorConfig};
use compline_query::{ActivityApi, TenancyApi, TenantKeys};
use compline_readmodel::{
    Database, Projection, Reader, Role, Wakes,
    generation::{self, Plan, SCHEMA, schema_name},
};
use compline_runtime::{
    Health,
    grpc::{GrpcConfig, GrpcServer},
};
use compline_tenancy::{KeyStore, Tenancy};
use compline_testkit::{Postgres, TestBroker};
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Request, transport::Channel};
use uuid::Uuid;

/// How long a verdict is waited for; a test that stops the projector waits it out.
const VERDICT_WAIT: Duration = Duration::from_secs(5);

pub(crate) struct Street {
    pub(crate) operator: ApiKey,
    pub(crate) channel: Channel,
    pub(crate) log: Log,
    pub(crate) database: Database,
    broker: TestBroker,
    projectors: Vec<(CancellationToken, JoinHandle<()>)>,
    pub(crate) serving: JoinHandle<Result<(), CommandError>>,
    _postgres: Postgres,
}

impl Street {
    pub(crate) async fn open() -> Self {
        Self::with_appender(AppenderConfig {
            delivery_timeout: Some(Duration::from_secs(2)),
            ..AppenderConfig::with_timeout()
        })
        .await
    }

    /// Its commands are appended as `appender` says.
    pub(crate) async fn with_appender(appender: AppenderConfig) -> Self {
        let (log, broker) = compline_testkit::log().await;
        let postgres = compline_testkit::postgres().await;
        let database = postgres.database().clone();
        let partitions = |topic| TopicSpec::of(topic).partitions;
        for plan in [
            Plan::first::<Tenancy>(partitions),
            Plan::first::<ActivityTrail>(partitions),
        ] {
            generation::create(&database, &plan).await.unwrap();
        }

        let wakes = Wakes::start(database.pool(Role::Query, SCHEMA, 1));
        let reader = |projection| Reader::new(projection, database.clone(), wakes.clone(), 4);
        let operator = operator_key();
        let (channel, serving) = serve(log.appender(appender).unwrap(), &operator, reader).await;
        let mut street = Self {
            operator,
            channel,
            log,
            database,
            broker,
            projectors: Vec::new(),
            serving,
            _postgres: postgres,
        };
        street.project();
        street
    }

    pub(crate) fn project(&mut self) {
        self.projectors = vec![
            self.projector::<Tenancy>(),
            self.projector::<ActivityTrail>(),
        ];
    }

    pub(crate) async fn stop_projecting(&mut self) {
        for (stop, task) in self.projectors.drain(..) {
            stop.cancel();
            task.await.unwrap();
        }
    }

    /// At once and without a goodbye, as a crash would.
    pub(crate) fn crash_the_log(&mut self) {
        self.broker.crash();
    }

    /// Starts the log again on what it wrote.
    pub(crate) async fn mend_the_log(&mut self) {
        self.broker.start().await;
    }

    /// The log is made anew, with nothing in it and nothing known of who appended.
    pub(crate) async fn replace_the_log(&mut self) {
        self.broker.crash();
        self.broker.lose_all();
        self.broker.start().await;
        self.log.ensure_topics().await.unwrap();
    }

    fn projector<P: Projection>(&self) -> (CancellationToken, JoinHandle<()>)
    where
        ProjectionFold<P>: Fold,
    {
        let schema = schema_name(P::NAME, 1);
        let projector = Projector::new(
            Arc::new(ProjectionFold::<P>::of(1)),
            self.log.clone(),
            self.database.pool(Role::Projector, &schema, 4),
            ProjectorConfig::new(P::NAME, 1),
        );
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move { projector.run(stopped).await.unwrap() });
        (stop, task)
    }

    pub(crate) fn tenants(&self) -> TenantServiceClient<Channel> {
        TenantServiceClient::new(self.channel.clone())
    }

    pub(crate) fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.channel.clone())
    }

    pub(crate) fn keys(&self) -> ApiKeyServiceClient<Channel> {
        ApiKeyServiceClient::new(self.channel.clone())
    }

    pub(crate) fn notifications(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.channel.clone())
    }

    pub(crate) fn tenancy(&self) -> TenancyServiceClient<Channel> {
        TenancyServiceClient::new(self.channel.clone())
    }

    pub(crate) fn activity(&self) -> ActivityServiceClient<Channel> {
        ActivityServiceClient::new(self.channel.clone())
    }

    /// A new tenant's admin key.
    pub(crate) async fn tenant(&self, name: &str) -> String {
        let request = CreateTenantRequest {
            request_id: request_id(),
            display_name: name.into(),
        };
        let request = by(&self.operator.reveal(), request);
        let made = self.tenants().create_tenant(request).await.unwrap();
        made.into_inner().api_key
    }

    /// A new key of `role`.
    pub(crate) async fn key(&self, admin: &str, role: KeyRole) -> String {
        let request = CreateApiKeyRequest {
            request_id: request_id(),
            role: role.into(),
            ..Default::default()
        };
        let made = self
            .keys()
            .create_api_key(by(admin, request))
            .await
            .unwrap();
        made.into_inner().secret
    }

    /// Appends what an engine would to the tenant of `key`.
    pub(crate) async fn tell(&self, key: &str, event: Event) -> Vec<Position> {
        let key: ApiKey = key.parse().unwrap();
        let tenant = TenantId::new(key.tenant);
        let (topic, key) = event.destination(tenant).unwrap();
        let now = OffsetDateTime::now_utc();
        let envelope = Envelope {
            event_id: EventId::new(Uuid::new_v4()),
            tenant: Some(tenant),
            occurred_at: now,
            recorded_at: now,
            source: Source::Engine("ad".into()),
            actor: "engine:ad".into(),
            causation_id: None,
            correlation_id: None,
            stamp: None,
            traceparent: String::new(),
            event,
        };
        let appender = self.log.appender(AppenderConfig::default()).unwrap();
        let at = appender.append(topic, None, key, &envelope).await.unwrap();
        vec![Position {
            topic: at.topic.to_string(),
            partition: at.partition.0,
            next_offset: at.offset.next().0,
        }]
    }

    /// Every byte of keys and values on `topic`.
    pub(crate) async fn bytes_of(&self, topic: Topic) -> Vec<u8> {
        let mut bytes = Vec::new();
        for partition in Log::partitions(topic) {
            let end = self.log.bounds(topic, partition).await.unwrap().end;
            let mut replay = self.log.replay(topic, partition, Offset(0), end).unwrap();
            while let Some(records) = replay.next_batch().await.unwrap() {
                for record in records {
                    bytes.extend_from_slice(&record.key);
                    bytes.extend_from_slice(&record.value);
                }
            }
        }
        bytes
    }

    /// What a read has seen that has seen all that there is now.
    pub(crate) async fn everything(&self) -> Option<Consistency> {
        let mut min_position = Vec::new();
        for topic in [Topic::Activity, Topic::Tenant, Topic::Account] {
            for partition in Log::partitions(topic) {
                let end = self.log.bounds(topic, partition).await.unwrap().end;
                min_position.push(Position {
                    topic: topic.to_string(),
                    partition: partition.0,
                    next_offset: end.0,
                });
            }
        }
        Some(Consistency {
            min_position,
            ..Default::default()
        })
    }

    /// How many records there are on `topic`.
    pub(crate) async fn records_of(&self, topic: Topic) -> i64 {
        let mut count = 0;
        for partition in Log::partitions(topic) {
            count += self.log.bounds(topic, partition).await.unwrap().end.0;
        }
        count
    }
}

/// `body`, called with `key`.
pub(crate) fn by<T>(key: &str, body: T) -> Request<T> {
    let mut request = Request::new(body);
    let bearer = format!("Bearer {key}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

pub(crate) fn request_id() -> String {
    Uuid::new_v4().to_string()
}

pub(crate) fn connect(account: &str, expected_version: Option<u64>) -> ConnectAccountRequest {
    ConnectAccountRequest {
        request_id: request_id(),
        ad_account_id: account.into(),
        display_name: "Shoes".into(),
        expected_version,
    }
}

async fn serve(
    appender: Appender,
    operator: &ApiKey,
    reader: impl Fn(&'static str) -> Reader,
) -> (Channel, JoinHandle<Result<(), CommandError>>) {
    let (tenancy, activity) = (
        reader(compline_tenancy::NAME),
        reader(compline_activity::NAME),
    );
    let keys = TenantKeys::new(KeyStore::new(tenancy.clone()));
    let commands = Commands::new(
        appender,
        tenancy.clone(),
        activity.clone(),
        OffsetDateTime::now_utc,
        VERDICT_WAIT,
    );
    let routes = compline_command::routes(&commands, 1 << 20)
        .add_service(TenancyServiceServer::new(TenancyApi::new(tenancy)))
        .add_service(ActivityServiceServer::new(ActivityApi::new(activity)));
    let server = GrpcServer::new("test", GrpcConfig::default(), Health::default());
    let server = server.authenticate(Arc::new(WithOperator::new(
        operator.secret_sha256(),
        Arc::new(keys),
    )));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let never = CancellationToken::new();
        compline_command::serve(&commands, server, listener, routes, never).await
    });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    (channel.connect_lazy(), serving)
}
