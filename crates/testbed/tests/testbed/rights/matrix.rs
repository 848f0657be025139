//! Every verb on every resource, as Kubernetes' authorizer decides.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};
use testbed::ControlPlane;
use testbed::control_plane::chart_rules;

use super::GROUP;

/// More parallel requests are not faster.
const AT_ONCE: usize = 16;

/// Group, resource, name (any if empty), verbs.
type Allowed = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// The account, by the name of its rules file; whether its rules apply in all namespaces; and all its rights.
const ACCOUNTS: [(&str, bool, &[Allowed]); 8] = [
    ("operator", false, OPERATOR),
    ("operator", true, OPERATOR),
    // In addition to either of these, always in one namespace.
    (
        "operator-lease",
        false,
        &[
            ("coordination.k8s.io", "leases", "", &["create"]),
            (
                "coordination.k8s.io",
                "leases",
                "arxiv-operator",
                &["get", "update"],
            ),
        ],
    ),
    // Where feeds may have webhooks.
    ("operator-webhooks", false, &[("", "secrets", "", &["get"])]),
    (
        "api-server",
        false,
        &[(
            GROUP,
            "arxivqueries",
            "",
            &["create", "get", "list", "watch", "delete"],
        )],
    ),
    // For the API server, if callers must authenticate.
    (
        "access",
        true,
        &[
            ("authentication.k8s.io", "tokenreviews", "", &["create"]),
            ("authorization.k8s.io", "subjectaccessreviews", "", &["create"]),
        ],
    ),
    (
        "view",
        false,
        &[
            (GROUP, "arxivfeeds", "", &["get", "list", "watch"]),
            (GROUP, "arxivqueries", "", &["get", "list", "watch"]),
        ],
    ),
    (
        "edit",
        false,
        &[(GROUP, "arxivfeeds", "", EDIT), (GROUP, "arxivqueries", "", EDIT)],
    ),
];
const EDIT: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];
const OPERATOR: &[Allowed] = &[
    (
        GROUP,
        "arxivqueries",
        "",
        &["create", "get", "list", "watch", "delete"],
    ),
    (GROUP, "arxivfeeds", "", &["get", "list", "watch"]),
    (GROUP, "arxivfeeds/status", "", &["patch"]),
    (GROUP, "arxivqueries/status", "", &["patch"]),
    ("events.k8s.io", "events", "", &["create", "patch"]),
    ("coordination.k8s.io", "leases", "", &["create"]),
    ("coordination.k8s.io", "leases", "arxiv-operator-class", &["get"]),
];
/// The rights that Kubernetes grants every `ServiceAccount` in every namespace: reviews of its own rights, and trust bundles.
const EVERYBODY: &[Allowed] = &[
    (
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "",
        &["create"],
    ),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "", &["create"]),
    ("authentication.k8s.io", "selfsubjectreviews", "", &["create"]),
    (
        "certificates.k8s.io",
        "clustertrustbundles",
        "",
        &["get", "list", "watch"],
    ),
];

const VERBS: [&str; 8] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
];
/// Verbs of some resources only.
const SPECIAL_VERBS: [(&str, &str, &[&str]); 9] = [
    ("rbac.authorization.k8s.io", "roles", &["bind", "escalate"]),
    ("rbac.authorization.k8s.io", "clusterroles", &["bind", "escalate"]),
    ("", "users", &["impersonate"]),
    ("", "groups", &["impersonate"]),
    ("", "serviceaccounts", &["impersonate"]),
    ("authentication.k8s.io", "uids", &["impersonate"]),
    ("authentication.k8s.io", "userextras/scopes", &["impersonate"]),
    ("certificates.k8s.io", "signers", &["approve", "sign", "attest"]),
    ("*", "*", &["*"]),
];
const PATHS: [&str; 7] = [
    "/",
    "/metrics",
    "/logs",
    "/debug/pprof/",
    "/debug/flags/v",
    "/configz",
    "/statusz",
];

/// One possible right.
#[derive(Clone, Debug)]
struct Act {
    group: String,
    resource: String,
    name: &'static str,
    verb: &'static str,
}

impl Act {
    fn is_of(&self, (group, resource, name, verbs): &Allowed) -> bool {
        self.group == *group
            && self.resource == *resource
            && (name.is_empty() || *name == self.name)
            && verbs.contains(&self.verb)
    }
}

/// Every verb on every resource that this Kubernetes serves.
async fn acts(client: &Client) -> Vec<Act> {
    let mut resources = BTreeSet::new();
    let core = client.list_core_api_resources("v1").await.unwrap();
    resources.extend(
        core.resources
            .into_iter()
            .map(|resource| (String::new(), resource.name)),
    );
    for group in client.list_api_groups().await.unwrap().groups {
        for version in group.versions {
            let list = client
                .list_api_group_resources(&version.group_version)
                .await
                .unwrap();
            resources.extend(
                list.resources
                    .into_iter()
                    .map(|resource| (group.name.clone(), resource.name)),
            );
        }
    }
    assert!(resources.len() > 100, "{resources:?}");
    assert!(resources.contains(&(GROUP.to_owned(), "arxivqueries/status".to_owned())));
    let mut acts = Vec::new();
    for (group, resource) in resources {
        let names: &[&str] = if resource == "leases" {
            &["", "arxiv-operator", "arxiv-operator-class"]
        } else {
            &[""]
        };
        for (name, verb) in names.iter().flat_map(|name| VERBS.map(|verb| (name, verb))) {
            let (group, resource) = (group.clone(), resource.clone());
            acts.push(Act {
                group,
                resource,
                name,
                verb,
            });
        }
    }
    for (group, resource, verbs) in SPECIAL_VERBS {
        acts.extend(verbs.iter().map(|verb| Act {
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: "",
            verb,
        }));
    }
    acts
}

/// Whether the account has the right, by a `SubjectAccessReview`.
async fn may(client: &Client, user: &str, namespace: &str, spec: SubjectAccessReviewSpec) -> bool {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ]),
            ..spec
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &review).await.unwrap();
    review.status.unwrap().allowed
}

#[tokio::test]
async fn unlisted_verb_is_refused_on_every_resource() {
    let plane = ControlPlane::shared().await.unwrap();
    let admin = plane.client().await.unwrap();
    let acts = acts(&admin).await;
    let (mut granted, mut refused) = (0, 0);
    for (rules, cluster_wide, allowed) in ACCOUNTS {
        let (own, other) = (plane.namespace().await.unwrap(), plane.namespace().await.unwrap());
        plane
            .service_account(&own, rules, &chart_rules(rules), cluster_wide)
            .await
            .unwrap();
        let user = format!("system:serviceaccount:{own}:{rules}");
        for namespace in [own.as_str(), other.as_str(), ""] {
            let holds = cluster_wide || namespace == own;
            let answers = stream::iter(&acts).map(|act| {
                let (admin, user, own) = (&admin, &user, &own);
                async move {
                    let attributes = ResourceAttributes {
                        namespace: Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
                        verb: Some(act.verb.to_owned()),
                        group: Some(act.group.clone()),
                        resource: Some(act.resource.split('/').next().unwrap_or_default().to_owned()),
                        subresource: act.resource.split_once('/').map(|(_, sub)| sub.to_owned()),
                        name: Some(act.name.to_owned()).filter(|name| !name.is_empty()),
                        version: Some("*".to_owned()),
                        ..ResourceAttributes::default()
                    };
                    let spec = SubjectAccessReviewSpec {
                        resource_attributes: Some(attributes),
                        ..SubjectAccessReviewSpec::default()
                    };
                    (act, may(admin, user, own, spec).await)
                }
            });
            let answers: Vec<_> = answers.buffer_unordered(AT_ONCE).collect().await;
            for (act, answer) in answers {
                let listed = holds && allowed.iter().any(|allowed| act.is_of(allowed));
                let expected = listed || EVERYBODY.iter().any(|allowed| act.is_of(allowed));
                assert_eq!(
                    answer, expected,
                    "{rules} (everywhere: {cluster_wide}) in {namespace:?}: {act:?}"
                );
                *(if answer { &mut granted } else { &mut refused }) += 1;
            }
        }
        for path in PATHS {
            let spec = SubjectAccessReviewSpec {
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some("get".to_owned()),
                }),
                ..SubjectAccessReviewSpec::default()
            };
            assert!(!may(&admin, &user, &own, spec).await, "{rules} {path}");
            refused += 1;
        }
    }
    // Shown by --nocapture.
    eprintln!("rights in Kubernetes: {granted} granted, {refused} refused");
}
