//! `AdService`: what a tenant's ads are doing.

mod filter;
mod resource;
mod watch;

use compline_ad_status::view::{self, After, Column, ListQuery, OrderBy};
use compline_api::{
    error,
    filter::Filter,
    name::Collection,
    order,
    page::{Fingerprint, PageSize, PageToken},
    query::{
        CountAdsRequest, CountAdsResponse, GetAdRequest, GetAdResponse, ListAdHistoryRequest,
        ListAdHistoryResponse, ListAdsRequest, ListAdsResponse, WatchAdsRequest, WatchAdsResponse,
        ad_service_server::AdService,
    },
};
use compline_event::{AdAccountId, Offset, Partition};
use compline_readmodel::Reader;
use time::OffsetDateTime;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use crate::{caller::Caller, consistency, metric};
use watch::Hubs;

const ORDERS: &[(&str, OrderBy)] = &[
    ("ad_id", OrderBy::AdId),
    ("status_time", OrderBy::StatusTime),
    ("update_time", OrderBy::UpdateTime),
];

/// Reads the projection `ad-status`.
#[derive(Clone, Debug)]
pub struct AdApi {
    reader: Reader,
    hubs: Hubs,
}

impl AdApi {
    pub fn new(reader: Reader) -> Self {
        metric::register();
        Self {
            hubs: Hubs::new(reader.clone()),
            reader,
        }
    }
}

#[async_trait]
impl AdService for AdApi {
    type WatchAdsStream = ReceiverStream<Result<WatchAdsResponse, Status>>;

    async fn get_ad(
        &self,
        request: Request<GetAdRequest>,
    ) -> Result<Response<GetAdResponse>, Status> {
        let body = request.get_ref();
        let ad_id = Collection::Ads.id("name", &body.name)?;

        let asked = body.consistency.clone();
        let mut snapshot = consistency::snapshot(&self.reader, &request, asked).await?;
        let ad = snapshot
            .read(async |conn| view::ad(conn, ad_id).await)
            .await
            .map_err(consistency::database_failed)?
            .ok_or_else(|| error::not_found(&body.name))?;
        Ok(Response::new(GetAdResponse {
            ad: Some(resource::ad(&ad)),
            seen: Some(consistency::seen(&snapshot)),
        }))
    }

    async fn list_ads(
        &self,
        request: Request<ListAdsRequest>,
    ) -> Result<Response<ListAdsResponse>, Status> {
        let body = request.get_ref();
        let size = PageSize::new(body.page_size)?;
        let filter = Filter::parse(&body.filter, filter::SCHEMA)?;
        let order = order::parse(&body.order_by, ORDERS)?;
        let order_by = order.map_or(OrderBy::AdId, |order| order.field);
        let query = Fingerprint::new("ListAds", &[&body.filter, &body.order_by]);
        let after = PageToken::decode(&body.page_token, &query)?;
        let list = ListQuery {
            order_by,
            descending: order.is_some_and(|order| order.descending),
            after: after.map(read_cursor).transpose()?,
            limit: size.limit(),
        };

        let asked = body.consistency.clone();
        let mut snapshot = consistency::snapshot(&self.reader, &request, asked).await?;
        let mut ads = snapshot
            .read(async |conn| view::ads(conn, &list, |sql| filter::push(sql, &filter)).await)
            .await
            .map_err(consistency::database_failed)?;
        let next_page_token = size.cut(&mut ads, &query, |ad| cursor(order_by.key(ad)));
        Ok(Response::new(ListAdsResponse {
            ads: ads.iter().map(resource::ad).collect(),
            next_page_token,
            seen: Some(consistency::seen(&snapshot)),
        }))
    }

    async fn list_ad_history(
        &self,
        request: Request<ListAdHistoryRequest>,
    ) -> Result<Response<ListAdHistoryResponse>, Status> {
        let body = request.get_ref();
        let ad_id = Collection::Ads.id("parent", &body.parent)?;
        let size = PageSize::new(body.page_size)?;
        let query = Fingerprint::new("ListAdHistory", &[&body.parent]);
        let before = PageToken::decode(&body.page_token, &query)?
            .map(read_place)
            .transpose()?;

        let asked = body.consistency.clone();
        let mut snapshot = consistency::snapshot(&self.reader, &request, asked).await?;
        let mut changes = snapshot
            .read(async |conn| view::history(conn, ad_id, before, size.limit()).await)
            .await
            .map_err(consistency::database_failed)?;
        // An ad of which only issues are known has no history, and yet it is.
        let empty = changes.is_empty() && before.is_none();
        if empty {
            snapshot
                .read(async |conn| view::ad(conn, ad_id).await)
                .await
                .map_err(consistency::database_failed)?
                .ok_or_else(|| error::not_found(&body.parent))?;
        }
        let next_page_token = size.cut(&mut changes, &query, |change| {
            vec![change.partition.to_string(), change.offset.to_string()]
        });
        Ok(Response::new(ListAdHistoryResponse {
            changes: changes.into_iter().map(resource::status_change).collect(),
            next_page_token,
            seen: Some(consistency::seen(&snapshot)),
        }))
    }

    async fn count_ads(
        &self,
        request: Request<CountAdsRequest>,
    ) -> Result<Response<CountAdsResponse>, Status> {
        let body = request.get_ref();
        let account = match body.ad_account_id.as_str() {
            "" => None,
            id => Some(
                id.parse::<AdAccountId>()
                    .map_err(|wrong| error::invalid_argument("ad_account_id", wrong.to_string()))?,
            ),
        };

        let asked = body.consistency.clone();
        let mut snapshot = consistency::snapshot(&self.reader, &request, asked).await?;
        let account = account.as_ref().map(AdAccountId::as_str);
        let counts = snapshot
            .read(async |conn| view::counts(conn, account).await)
            .await
            .map_err(consistency::database_failed)?;
        Ok(Response::new(CountAdsResponse {
            counts: counts.into_iter().map(resource::count).collect(),
            seen: Some(consistency::seen(&snapshot)),
        }))
    }

    async fn watch_ads(
        &self,
        request: Request<WatchAdsRequest>,
    ) -> Result<Response<Self::WatchAdsStream>, Status> {
        let tenant = Caller::of(&request)?.tenant;
        let body = request.get_ref();
        let filter: Filter<Column> = Filter::parse(&body.filter, filter::SCHEMA)?;
        let watch = Fingerprint::new("WatchAds", &[&body.filter]);
        let resume = watch::parse_resume_token(&body.resume_token, &watch)?;
        let responses = self.hubs.watch(tenant, filter, watch, resume).await?;
        Ok(Response::new(ReceiverStream::new(responses)))
    }
}

/// Rows have whole microseconds; an absent time is an empty text.
fn cursor(after: After) -> Vec<String> {
    let micros = |time: OffsetDateTime| (time.unix_timestamp_nanos() / 1_000).to_string();
    vec![after.time.map(micros).unwrap_or_default(), after.ad_id]
}

fn read_cursor([time, ad_id]: [String; 2]) -> Result<After, Status> {
    let parse = |micros: &str| {
        let nanos = micros.parse::<i128>().ok()?.checked_mul(1_000)?;
        OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
    };
    let time = match time.as_str() {
        "" => None,
        micros => Some(parse(micros).ok_or_else(PageToken::nonsense)?),
    };
    // Postgres has no such text.
    if ad_id.contains('\0') {
        return Err(PageToken::nonsense());
    }
    Ok(After { time, ad_id })
}

fn read_place([partition, offset]: [String; 2]) -> Result<(Partition, Offset), Status> {
    let parse = || {
        Some((
            Partition(partition.parse().ok()?),
            Offset(offset.parse().ok()?),
        ))
    };
    parse().ok_or_else(PageToken::nonsense)
}
