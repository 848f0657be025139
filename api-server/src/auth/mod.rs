//! What stands before an endpoint: where a request comes from, who sends it, whether they may, and how often.

pub(crate) mod cors;
pub(crate) mod csrf;
pub(crate) mod kubernetes;
pub(crate) mod proxies;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use http::{Method, request::Parts};
use kube::Client as Kubernetes;
use tokio::time::Instant;

use crate::{
    auth::cors::Origins,
    auth::csrf::is_foreign,
    auth::kubernetes::{Access, Guarded},
    auth::proxies::{ForwardedBy, Proxies},
    error::{ApiError, Code},
    limits::client::{Client, Peer},
    limits::rate::ClientLimits,
    routes::arxiv::list,
    routes::endpoints::Endpoint,
};
use wire::{headers::vary::vary, query::QueryString};

/// Who may call, from where, and how often.
#[derive(clap::Args)]
pub(crate) struct GuardArgs {
    /// Which endpoints ask for a token of Kubernetes: off, backend, or all. Callers send `Authorization: Bearer TOKEN`,
    /// and need a role that gives them the verb (get, post, delete) on the path as a nonResourceURL.
    #[arg(long, env = "ACCESS", value_enum, default_value = "off")]
    pub(crate) access: Guarded,
    /// The audience that tokens must be made for: `kubectl create token NAME --audience=…`.
    #[arg(long, env = "ACCESS_AUDIENCE", default_value = "arxiv-api-server",
        value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) access_audience: String,
    /// How long Kubernetes' "yes" to a token or a right is kept, in seconds: so long one that is withdrawn still holds.
    #[arg(long, env = "ACCESS_CACHE_SECONDS", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(0..=60))]
    pub(crate) access_cache_seconds: u64,
    /// How many searches a client may send to /arxiv in a minute, in the long run; 0 for no limit. A client is a user
    /// where /arxiv asks for a token, else an address.
    #[arg(long, env = "CLIENT_SEARCHES_PER_MINUTE", default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) client_searches_per_minute: u32,
    /// How many searches a client may send at once after a pause.
    #[arg(long, env = "CLIENT_BURST", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) client_burst: u32,
    /// The proxies before this server, as a list of networks or addresses, like `10.0.0.0/8,fd00::/8`: only they are believed
    /// when they say which address a request comes from.
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "")]
    pub(crate) trusted_proxies: Proxies,
    /// The one header in which these proxies say it.
    #[arg(
        long,
        env = "TRUSTED_PROXIES_HEADER",
        value_enum,
        default_value = "x-forwarded-for"
    )]
    pub(crate) trusted_proxies_header: ForwardedBy,
    /// The origins whose pages may call this server from a browser (CORS), as a list, like `https://papers.example`.
    #[arg(long, env = "CORS_ALLOWED_ORIGINS", default_value = "")]
    pub(crate) cors_allowed_origins: Origins,
}

/// All guards of this process.
pub(crate) struct Guards {
    access: Option<(Guarded, Access)>,
    limits: Option<ClientLimits>,
    proxies: Proxies,
    forwarded_by: ForwardedBy,
    pub(crate) origins: Origins,
}

impl Guards {
    /// `kubernetes` is there if access is guarded.
    pub(crate) fn new(args: &GuardArgs, kubernetes: Option<Kubernetes>) -> Self {
        let kept = Duration::from_secs(args.access_cache_seconds);
        let access = kubernetes.filter(|_| args.access != Guarded::Off).map(|client| {
            let access = Access::new(client, args.access_audience.clone(), kept);
            (args.access, access)
        });
        let per_minute = args.client_searches_per_minute;
        Self {
            access,
            limits: (per_minute > 0).then(|| ClientLimits::new(per_minute, args.client_burst)),
            proxies: args.trusted_proxies.clone(),
            forwarded_by: args.trusted_proxies_header,
            origins: args.cors_allowed_origins.clone(),
        }
    }

    /// Puts the guards before an endpoint's routes.
    pub(crate) fn before(self: &Arc<Self>, endpoint: Endpoint, routes: Router) -> Router {
        let guards = Arc::clone(self);
        routes.route_layer(from_fn_with_state((guards, endpoint), admit))
    }
}

/// 1. Does a page of somebody else send it, and would it change anything?
/// 2. Who sends it, and may they?
/// 3. How often?
async fn admit(
    State((guards, endpoint)): State<(Arc<Guards>, Endpoint)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut head, body) = request.into_parts();
    if changes(endpoint, &head) && is_foreign(&head.headers, &guards.origins) {
        return foreign().into_response();
    }
    let asks = guards.asks_who_calls(endpoint);
    let client = match guards.client(endpoint, &head).await {
        Ok(client) => client,
        Err(error) => return varying(asks, error.into_response()),
    };
    let limits = guards.limits.as_ref().filter(|_| searches(endpoint, &head));
    let bucket = limits.map(|limits| (limits, limits.take(client.key(), Instant::now())));
    head.extensions.insert(client);
    let request = Request::from_parts(head, body);
    let response = match bucket {
        None => next.run(request).await,
        Some((limits, Ok(bucket))) => {
            let mut response = next.run(request).await;
            limits.tell(bucket, response.headers_mut());
            response
        }
        Some((limits, Err(bucket))) => {
            let mut response = too_often().retry_after(bucket.reset()).into_response();
            limits.tell(bucket, response.headers_mut());
            response
        }
    };
    varying(asks, response)
}

/// An answer that depends on who calls is not kept for anybody else.
fn varying(asks: bool, mut response: Response) -> Response {
    if asks {
        vary(response.headers_mut(), "authorization");
    }
    response
}

impl Guards {
    /// Whether who calls this endpoint has to show a token.
    fn asks_who_calls(&self, endpoint: Endpoint) -> bool {
        let access = self.access.as_ref();
        access.is_some_and(|(guarded, _)| *guarded == Guarded::All || endpoint.is_backend())
    }

    /// Who sends a request, if they may.
    async fn client(&self, endpoint: Endpoint, head: &Parts) -> Result<Client, ApiError> {
        let access = self.access.as_ref().filter(|_| self.asks_who_calls(endpoint));
        if let Some((_, access)) = access {
            let path = endpoint.path();
            let user = access.admit(&head.headers, &head.method, path).await?;
            return Ok(Client::user(&user));
        }
        // Every request of the server's has one.
        let peer = head.extensions.get::<Peer>().ok_or_else(ApiError::internal)?;
        let address = self.proxies.client(peer.0.ip(), &head.headers, self.forwarded_by);
        Ok(Client::at(address))
    }
}

/// Whether a request has an effect beside its answer: it makes or removes something, takes a number, or asks arXiv.
fn changes(endpoint: Endpoint, head: &Parts) -> bool {
    match endpoint {
        Endpoint::Arxiv => searches(endpoint, head) || !matches!(head.method, Method::GET | Method::HEAD),
        Endpoint::ArxivApi | Endpoint::GetSequence | Endpoint::WriteQueries | Endpoint::WriteResults => true,
        Endpoint::Queries | Endpoint::Results | Endpoint::ReadQueries | Endpoint::ReadResults => false,
    }
}

/// Whether a request may make a query; a list of queries, at the same path, makes none.
fn searches(endpoint: Endpoint, head: &Parts) -> bool {
    endpoint == Endpoint::Arxiv
        && head.uri.path() == endpoint.path()
        && match head.method {
            Method::GET => !list::is_wanted(&QueryString::parse(head.uri.query())),
            _ => head.method == Method::POST,
        }
}

fn foreign() -> ApiError {
    ApiError::new(
        Code::CrossSite,
        "This request was sent by a page of another site, which may not have any effect here. Open the address \
         directly, or ask who runs this service to allow that site (CORS_ALLOWED_ORIGINS)",
    )
}

fn too_often() -> ApiError {
    ApiError::new(
        Code::ClientRateLimited,
        "Too many searches from this client, try again later",
    )
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn what_has_an_effect_is_known() {
        let cases = [
            (Endpoint::Arxiv, Method::GET, "/arxiv", true),
            (Endpoint::Arxiv, Method::POST, "/arxiv", true),
            (Endpoint::Arxiv, Method::GET, "/arxiv?title=x&state=all", true),
            (Endpoint::Arxiv, Method::GET, "/arxiv?state=all", false),
            (Endpoint::Arxiv, Method::POST, "/arxiv?state=all", true),
            (Endpoint::Arxiv, Method::GET, "/arxiv/x", false),
            (Endpoint::Arxiv, Method::GET, "/arxiv/x/results", false),
            (Endpoint::Arxiv, Method::DELETE, "/arxiv/x", true),
            (Endpoint::GetSequence, Method::GET, "/get-sequence", true),
            (Endpoint::ArxivApi, Method::GET, "/arxiv-api", true),
            (Endpoint::WriteResults, Method::POST, "/write-results", true),
            (Endpoint::Queries, Method::POST, "/queries", false),
            (Endpoint::Results, Method::GET, "/results", false),
        ];
        for (endpoint, method, path, expected) in cases {
            let request = Request::builder().method(&method).uri(path);
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(changes(endpoint, &head), expected, "{method} {path}");
        }
    }
}
