//! Reads over gRPC.

use std::sync::Arc;

use compline_api::query::{
    activity_service_server::ActivityServiceServer, ad_service_server::AdServiceServer,
    tenancy_service_server::TenancyServiceServer,
};
use compline_query::{ActivityApi, AdApi, TenancyApi};
use compline_runtime::grpc::GrpcServer;
use tokio::net::TcpListener;
use tonic::service::Routes;

use super::Rooms;
use crate::process::Process;

pub(super) async fn start(rooms: &Rooms, listener: TcpListener, process: &Process) {
    let config = rooms.settings.query.grpc.clone();
    let connections = rooms.settings.query.connections;
    let ads = AdApi::new(rooms.reader(compline_ad_status::NAME, connections).await);
    let activity = ActivityApi::new(rooms.reader(compline_activity::NAME, connections).await);
    let tenancy = TenancyApi::new(rooms.reader(compline_tenancy::NAME, connections).await);
    let max = config.max_message;
    let routes = Routes::new(
        AdServiceServer::new(ads)
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
    .add_service(
        ActivityServiceServer::new(activity)
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    )
    .add_service(
        TenancyServiceServer::new(tenancy)
            .max_decoding_message_size(max)
            .max_encoding_message_size(max),
    );

    let check = process.health.register("query");
    let server = GrpcServer::new("query", config, process.health.clone())
        .descriptors(compline_api::QUERY_DESCRIPTOR_SET)
        .authenticate(Arc::new(rooms.tenant_keys(connections).await));
    process.doors.spawn("query", |stop| async move {
        check.ready();
        server.serve(listener, routes, stop).await
    });
}
