//! Consumer groups: requests translated for the coordinator.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::find_coordinator_response::Coordinator as Found;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    BrokerId, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Request, now_ms, text};
use crate::coordinator::{Caller, Coordinator, question};
use crate::group::{Group, Join, Joined, Sync, Synced};
use crate::server::Server;

const GROUP: i8 = 0;
/// The one type of group that there is here, as KIP-848 calls it.
const CLASSIC: &str = "classic";
/// Nobody has asked who may do what.
const NO_OPERATIONS: i32 = i32::MIN;

pub(super) fn code(result: Result<(), ResponseError>) -> i16 {
    result.err().map_or(0, |error| error.code())
}

pub(super) fn find_coordinator(
    server: &Server,
    ask: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let node = BrokerId(server.config.node_id);
    let (host, port) = (
        text(&server.advertised.host),
        i32::from(server.advertised.port),
    );
    // The one refusal that clients take as final, instead of asking again and again.
    let no_transactions =
        (ask.key_type != GROUP).then_some(ResponseError::TransactionalIdAuthorizationFailed);
    let error = no_transactions.map_or(0, |error| error.code());
    let message = no_transactions.map(|_| text("this broker has no transactions"));
    if version < 4 {
        let found = FindCoordinatorResponse::default()
            .with_error_code(error)
            .with_error_message(message);
        return match no_transactions {
            Some(_) => found.with_node_id(BrokerId(-1)).with_port(-1),
            None => found.with_node_id(node).with_host(host).with_port(port),
        };
    }
    let found = ask.coordinator_keys.into_iter().map(|key| {
        let found = Found::default()
            .with_key(key)
            .with_error_code(error)
            .with_error_message(message.clone());
        match no_transactions {
            Some(_) => found.with_node_id(BrokerId(-1)).with_port(-1),
            None => found
                .with_node_id(node)
                .with_host(host.clone())
                .with_port(port),
        }
    });
    FindCoordinatorResponse::default().with_coordinators(found.collect())
}

fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn owned(text: Option<StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}

pub(super) fn join(
    server: &Server,
    ask: JoinGroupRequest,
    request: &Request,
) -> impl Future<Output = JoinGroupResponse> + Send + use<> {
    let version = request.version;
    let (answer, joined) = question();
    let instance = owned(ask.group_instance_id);
    let session_timeout = millis(ask.session_timeout_ms);
    let join = Join {
        member_id: ask.member_id.to_string(),
        fresh_id: Coordinator::fresh_id(&request.client_id, instance.as_deref()),
        instance,
        must_know_id: version >= 4,
        may_skip_assignment: version >= 9,
        client_id: request.client_id.clone(),
        client_host: format!("/{}", request.peer.ip),
        session_timeout,
        rebalance_timeout: if version == 0 {
            session_timeout
        } else {
            millis(ask.rebalance_timeout_ms)
        },
        protocol_type: ask.protocol_type.to_string(),
        protocols: ask
            .protocols
            .into_iter()
            // A copy: what was decoded holds the whole request, as long as the member lives.
            .map(|known| {
                (
                    known.name.to_string(),
                    Bytes::copy_from_slice(&known.metadata),
                )
            })
            .collect(),
        answer,
    };
    server.coordinator.join(&ask.group_id, join);
    async move {
        let gone = || Joined::refused(ResponseError::UnknownMemberId, "");
        respond_to_join(joined.await.unwrap_or_else(|_| gone()), version)
    }
}

fn respond_to_join(joined: Joined, version: i16) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|(id, instance, metadata)| {
        JoinGroupResponseMember::default()
            .with_member_id(text(&id))
            .with_group_instance_id(
                instance
                    .filter(|_| version >= 5)
                    .map(|instance| text(&instance)),
            )
            .with_metadata(metadata)
    });
    let refused = joined.error.is_some();
    let protocol = match refused && version >= 7 {
        true => None,
        false => Some(text(&joined.protocol)),
    };
    JoinGroupResponse::default()
        .with_error_code(joined.error.map_or(0, |error| error.code()))
        .with_generation_id(joined.generation)
        .with_protocol_type((version >= 7 && !refused).then(|| text(&joined.protocol_type)))
        .with_protocol_name(protocol)
        .with_leader(text(&joined.leader))
        .with_skip_assignment(joined.skip_assignment && version >= 9)
        .with_member_id(text(&joined.member_id))
        .with_members(members.collect())
}

pub(super) fn sync(
    server: &Server,
    ask: SyncGroupRequest,
) -> impl Future<Output = SyncGroupResponse> + Send + use<> {
    let (answer, synced) = question();
    let sync = Sync {
        member_id: ask.member_id.to_string(),
        instance: owned(ask.group_instance_id),
        generation: ask.generation_id,
        protocol_type: owned(ask.protocol_type),
        protocol: owned(ask.protocol_name),
        assignments: ask
            .assignments
            .into_iter()
            .map(|part| {
                (
                    part.member_id.to_string(),
                    Bytes::copy_from_slice(&part.assignment),
                )
            })
            .collect(),
        answer,
    };
    server.coordinator.sync(&ask.group_id, sync);
    async move {
        let synced = synced
            .await
            .unwrap_or_else(|_| Synced::refused(ResponseError::RebalanceInProgress));
        let fine = synced.error.is_none();
        SyncGroupResponse::default()
            .with_error_code(synced.error.map_or(0, |error| error.code()))
            .with_protocol_type(fine.then(|| text(&synced.protocol_type)))
            .with_protocol_name(fine.then(|| text(&synced.protocol)))
            .with_assignment(synced.assignment)
    }
}

pub(super) fn heartbeat(server: &Server, ask: HeartbeatRequest) -> HeartbeatResponse {
    let caller = Caller {
        member: &ask.member_id,
        instance: ask.group_instance_id.as_deref(),
        generation: ask.generation_id,
    };
    HeartbeatResponse::default()
        .with_error_code(code(server.coordinator.heartbeat(&ask.group_id, caller)))
}

pub(super) fn leave(server: &Server, ask: LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
    let leave = |member: &str, instance: Option<&str>| {
        code(server.coordinator.leave(&ask.group_id, member, instance))
    };
    if version < 3 {
        return LeaveGroupResponse::default().with_error_code(leave(&ask.member_id, None));
    }
    let members = ask.members.iter().map(|member| {
        MemberResponse::default()
            .with_member_id(member.member_id.clone())
            .with_group_instance_id(member.group_instance_id.clone())
            .with_error_code(leave(
                &member.member_id,
                member.group_instance_id.as_deref(),
            ))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

pub(super) fn describe(
    server: &Server,
    ask: DescribeGroupsRequest,
    version: i16,
) -> DescribeGroupsResponse {
    let groups = ask.groups.into_iter().map(|id| {
        let described = server.coordinator.view(&id, describe_one);
        // Kafka calls a group that it does not know dead, and from version 6 on unknown.
        let unknown = || {
            let dead = DescribedGroup::default().with_group_state(text("Dead"));
            if version < 6 {
                return dead;
            }
            dead.with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(text(&format!("Group {} not found.", &**id))))
        };
        described
            .unwrap_or_else(unknown)
            .with_group_id(id)
            .with_authorized_operations(NO_OPERATIONS)
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe_one(group: &Group) -> DescribedGroup {
    let members = group.members().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(text(member.id))
            .with_group_instance_id(member.instance.map(text))
            .with_client_id(text(member.client_id))
            .with_client_host(text(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    DescribedGroup::default()
        .with_group_state(text(group.state()))
        .with_protocol_type(text(group.protocol_type()))
        .with_protocol_data(text(group.protocol()))
        .with_members(members.collect())
}

pub(super) fn list(server: &Server, ask: ListGroupsRequest) -> ListGroupsResponse {
    let wanted = |filter: &[StrBytes], found: &str| {
        filter.is_empty()
            || filter
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(found))
    };
    if !wanted(&ask.types_filter, CLASSIC) {
        return ListGroupsResponse::default();
    }
    let groups = server.coordinator.names().into_iter().filter_map(|name| {
        let (state, protocol_type) = server.coordinator.view(&name, |group| {
            (group.state(), group.protocol_type().to_owned())
        })?;
        let listed = ListedGroup::default()
            .with_group_id(GroupId(text(&name)))
            .with_protocol_type(text(&protocol_type))
            .with_group_state(text(state))
            .with_group_type(text(CLASSIC));
        wanted(&ask.states_filter, state).then_some(listed)
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

pub(super) fn delete(
    server: &Arc<Server>,
    ask: DeleteGroupsRequest,
) -> impl Future<Output = DeleteGroupsResponse> + Send + use<> {
    let mut results = Vec::with_capacity(ask.groups_names.len());
    let mut pending = Vec::new();
    for name in ask.groups_names {
        let deleted = server.coordinator.delete(&name, now_ms());
        let deleted = deleted.map(|gone| {
            server.syncer.enqueue(&gone.log);
            pending.push(gone);
        });
        results.push(
            DeletableGroupResult::default()
                .with_group_id(name)
                .with_error_code(code(deleted)),
        );
    }
    async move {
        for gone in pending {
            gone.synced().await;
        }
        DeleteGroupsResponse::default().with_results(results)
    }
}
