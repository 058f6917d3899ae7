//! The requests that are answered, in which versions, and what they look like.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};

pub(crate) struct Supported {
    pub(crate) key: ApiKey,
    pub(crate) oldest: i16,
    pub(crate) newest: i16,
    /// See [`super::shape`].
    pub(crate) shape: &'static str,
}

const fn api(key: ApiKey, oldest: i16, newest: i16, shape: &'static str) -> Supported {
    Supported {
        key,
        oldest,
        newest,
        shape,
    }
}

/// Transactions, the newer group protocols, ACLs, quotas and replication are not here: clients
/// find that out by asking for the versions, as they do with a Kafka that lacks them.
pub(crate) const SUPPORTED: [Supported; 30] = [
    api(ApiKey::Produce, 3, 9, "Shi{s{iB}}"),
    api(
        ApiKey::Fetch,
        4,
        12,
        "iiiib(7:ii){s{i(9:i)l(12:i)(5:l)i}}(7:{s[i]})(11:s)",
    ),
    api(ApiKey::ListOffsets, 1, 10, "i(2:b){s{i(4:i)l}}(10:i)"),
    api(ApiKey::Metadata, 0, 12, "{(10:u)S}(4:b)(8-10:b)(8:b)"),
    api(ApiKey::OffsetCommit, 2, 8, "sis(7:S)(2-4:l){s{il(6:i)S}}"),
    api(ApiKey::OffsetFetch, 1, 8, "(0-7:s{s[i]})(8:{s{s[i]}})(7:b)"),
    api(ApiKey::FindCoordinator, 0, 4, "(0-3:s)(1:b)(4:[s])"),
    api(ApiKey::JoinGroup, 0, 9, "si(1:i)s(5:S)s{sB}(8:S)"),
    api(ApiKey::Heartbeat, 0, 4, "sis(3:S)"),
    api(ApiKey::LeaveGroup, 0, 5, "s(0-2:s)(3:{sS(5:S)})"),
    api(ApiKey::SyncGroup, 0, 5, "sis(3:S)(5:SS){sB}"),
    api(ApiKey::DescribeGroups, 0, 6, "[s](3:b)"),
    api(ApiKey::ListGroups, 0, 5, "(4:[s])(5:[s])"),
    api(ApiKey::ApiVersions, 0, 3, "(3:ss)"),
    api(ApiKey::CreateTopics, 2, 7, "{sih{i[i]}{sS}}ib"),
    api(ApiKey::DeleteTopics, 1, 6, "(0-5:[s])(6:{Su})i"),
    api(ApiKey::DeleteRecords, 0, 2, "{s{il}}i"),
    api(ApiKey::InitProducerId, 0, 4, "Si(3:lh)"),
    api(ApiKey::OffsetForLeaderEpoch, 2, 4, "(3:i){s{iii}}"),
    api(ApiKey::DescribeConfigs, 1, 4, "{bs[s]}b(3:b)"),
    api(ApiKey::AlterConfigs, 0, 2, "{bs{sS}}b"),
    api(ApiKey::DescribeLogDirs, 1, 4, "{s[i]}"),
    api(ApiKey::CreatePartitions, 0, 3, "{si{[i]}}ib"),
    api(ApiKey::DeleteGroups, 0, 2, "[s]"),
    api(ApiKey::IncrementalAlterConfigs, 0, 1, "{bs{sbS}}b"),
    api(ApiKey::OffsetDelete, 0, 0, "s{s{i}}"),
    api(ApiKey::DescribeCluster, 0, 1, "b(1:b)"),
    api(ApiKey::DescribeProducers, 0, 0, "{s[i]}"),
    api(ApiKey::DescribeTransactions, 0, 0, "[s]"),
    api(ApiKey::ListTransactions, 0, 2, "[s][l](1:l)(2:S)"),
];

fn find(key: ApiKey) -> Option<&'static Supported> {
    SUPPORTED.iter().find(|api| api.key == key)
}

/// Where a kind of requests stands among all.
pub(super) fn place(key: ApiKey) -> usize {
    let found = SUPPORTED.iter().position(|api| api.key == key);
    found.expect("a request that was taken is one of those that there are")
}

/// What Kafka calls the kind of requests in this place.
pub(crate) fn call_name(place: usize) -> String {
    format!("{:?}", SUPPORTED[place].key)
}

pub(super) fn is_known(key: ApiKey) -> bool {
    find(key).is_some()
}

pub(super) fn is_supported(key: ApiKey, version: i16) -> bool {
    find(key).is_some_and(|api| (api.oldest..=api.newest).contains(&version))
}

/// The shape of a request that is supported.
pub(super) fn shape(key: ApiKey) -> &'static str {
    find(key).map_or("", |api| api.shape)
}

pub(super) fn api_versions(version_is_fine: bool) -> ApiVersionsResponse {
    let error = if version_is_fine {
        0
    } else {
        ResponseError::UnsupportedVersion.code()
    };
    let keys = SUPPORTED.iter().map(|api| {
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(api.oldest)
            .with_max_version(api.newest)
    });
    ApiVersionsResponse::default()
        .with_error_code(error)
        .with_api_keys(keys.collect())
}
