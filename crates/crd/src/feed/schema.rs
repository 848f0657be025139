//! The definition of `ArxivFeed`: what it shares with that of `ArxivQuery`, and its own rules.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
    ValidationRule,
};
use kube::{CustomResourceExt, core::Rule};
use serde_json::json;

use super::ArxivFeed;
use crate::{
    fields::{
        ACTIVE_DEADLINE, BACKOFF_LIMIT, CACHE_POLICY, CLASS_NAME, Field, PRIORITY, SEARCH_FIELDS, SORT_BY,
        SORT_ORDER, SUBMITTED_BEFORE, UPDATED_AFTER,
    },
    schema::{
        FIXED, bound, bound_conditions, clean, describe_all, is_fixed, open_api_schemas, property, rule,
    },
};

/// The members of a search that the operator itself sets for each run.
const SET_BY_RUNS: [&Field; 4] = [&SORT_BY, &SORT_ORDER, &SUBMITTED_BEFORE, &UPDATED_AFTER];
/// The most labels of runs, and the longest name and value of one, as Kubernetes has them.
const MAX_LABELS: i64 = 32;
const MAX_LABEL_NAME: usize = 253 + 1 + 63;
const MAX_LABEL_VALUE: i64 = 63;
/// The most webhooks of a feed, and the longest address of one.
const MAX_WEBHOOKS: i64 = 5;
const MAX_URL: i64 = 2_048;
/// The longest time zone is shorter.
const TIME_ZONE: &str = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$";

/// The `arxivfeeds.arxiv-operator.dev` definition.
pub(crate) fn definition() -> CustomResourceDefinition {
    let mut definition = ArxivFeed::crd();
    for root in open_api_schemas(&mut definition) {
        clean(root);
        if let Some(spec) = property(root, "spec") {
            fit_spec(spec);
        }
        if let Some(status) = property(root, "status") {
            // A new object is not "Current" for kstatus before the operator has seen it.
            status.default = Some(JSON(json!({"observedGeneration": -1})));
            bound_conditions(status);
        }
    }
    definition
}

fn fit_spec(spec: &mut JSONSchemaProps) {
    if let Some(search) = property(spec, "search") {
        describe_all(SEARCH_FIELDS, search);
        if let Some(members) = &mut search.properties {
            for field in SET_BY_RUNS {
                members.remove(field.name);
            }
        }
        // It may change, and what is not there is under no rule.
        let is_about = |rule: &ValidationRule, name: &str| rule.rule.contains(&format!("self.{name}"));
        if let Some(rules) = &mut search.x_kubernetes_validations {
            rules.retain(|rule| {
                rule.rule != FIXED && !SET_BY_RUNS.iter().any(|field| is_about(rule, field.name))
            });
        }
    }
    if let Some(schedule) = property(spec, "schedule") {
        schedule.x_kubernetes_validations = Some(vec![rule(
            &format!("self.matches('{}')", schedule_pattern()),
            "must be five fields (minute 0-59, hour 0-23, day of the month 1-31, month 1-12, day of the week 0-7 from Sunday), for \
             example 17 6 * * 1-5, or @hourly, @daily, @weekly, @monthly or @yearly",
        )]);
    }
    if let Some(zone) = property(spec, "timeZone") {
        zone.x_kubernetes_validations = Some(vec![rule(
            &format!("self.matches('{TIME_ZONE}')"),
            "must be the name of a time zone of the IANA database, for example Europe/Budapest",
        )]);
    }
    if let Some(class) = property(spec, CLASS_NAME.name) {
        bound(&CLASS_NAME, class);
    }
    if let Some(webhooks) = property(spec, "webhooks") {
        bound_webhooks(webhooks);
    }
    let Some(template) = property(spec, "queryTemplate") else {
        return;
    };
    if let Some(how) = property(template, "spec") {
        for field in [&PRIORITY, &BACKOFF_LIMIT, &ACTIVE_DEADLINE, &CACHE_POLICY] {
            if let Some(member) = property(how, field.name) {
                bound(field, member);
            }
        }
    }
    if let Some(labels) = property(template, "metadata").and_then(|metadata| property(metadata, "labels")) {
        labels.max_properties = Some(MAX_LABELS);
        labels.x_kubernetes_validations = Some(vec![
            rule(
                &format!(
                    "self.all(name, name.size() <= {MAX_LABEL_NAME} && \
                     name.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$'))"
                ),
                "must be names of labels",
            ),
            rule(
                &format!(
                    "self.all(name, self[name].size() <= {MAX_LABEL_VALUE} && \
                     self[name].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))"
                ),
                "must have values of labels",
            ),
            rule(
                "!self.exists(name, name.startsWith('arxiv-operator.dev/'))",
                "labels of arxiv-operator.dev/ are set by the operator",
            ),
        ]);
        if let Some(of_label) = label_values(labels) {
            of_label.max_length = Some(MAX_LABEL_VALUE);
        }
    }
}

/// Adds the bounds and the rules of webhooks.
fn bound_webhooks(webhooks: &mut JSONSchemaProps) {
    webhooks.max_items = Some(MAX_WEBHOOKS);
    let Some(JSONSchemaPropsOrArray::Schema(webhook)) = &mut webhooks.items else {
        return;
    };
    if let Some(name) = property(webhook, "name") {
        (name.min_length, name.max_length) = (Some(1), Some(63));
        name.x_kubernetes_validations = Some(vec![rule(
            "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "must be lower-case letters, digits and hyphens",
        )]);
    }
    if let Some(url) = property(webhook, "url") {
        url.max_length = Some(MAX_URL);
        url.x_kubernetes_validations = Some(vec![rule(
            "isURL(self) && self.matches('^https?://[^/?#@]+([/?#].*)?$')",
            "must be a URL that begins with https://, without a user (http:// only where the people who run the system allow it)",
        )]);
    }
    let Some(secret) = property(webhook, "secretRef") else {
        return;
    };
    for (member, rules) in [
        (
            "name",
            rule(
                "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
                "must be the name of a Secret",
            ),
        ),
        (
            "key",
            rule("self.matches('^[-._a-zA-Z0-9]+$')", "must be a key of a Secret"),
        ),
    ] {
        if let Some(member) = property(secret, member) {
            (member.min_length, member.max_length) = (Some(1), Some(253));
            member.x_kubernetes_validations = Some(vec![rules]);
        }
    }
}

fn label_values(labels: &mut JSONSchemaProps) -> Option<&mut JSONSchemaProps> {
    match labels.additional_properties.as_mut()? {
        JSONSchemaPropsOrBool::Schema(schema) => Some(schema),
        JSONSchemaPropsOrBool::Bool(_) => None,
    }
}

/// A schedule: a nickname, or five fields, as far as a regular expression can say it.
fn schedule_pattern() -> String {
    let fields = [
        "[0-5]?[0-9]",
        "([01]?[0-9]|2[0-3])",
        "(0?[1-9]|[12][0-9]|3[01])",
        "(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))",
        "([0-7]|(?i:sun|mon|tue|wed|thu|fri|sat))",
    ]
    .map(|value| {
        let part = format!("([*?]|{value}(-{value})?)(/(0?[1-9]|[1-9][0-9]))?");
        format!("{part}(,{part})*")
    });
    format!(
        "^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|{})$",
        fields.join(" +")
    )
}

/// The class does not change: another installation would go on with a feed that one has begun.
pub(super) fn feed_class_is_fixed() -> Rule {
    Rule::new(is_fixed(CLASS_NAME.name)).message("className cannot be changed; create a new ArxivFeed")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::feed::ArxivFeedSpec;

    #[test]
    fn defaults_of_the_schema_are_those_of_the_type() {
        let mut definition = definition();
        let root = open_api_schemas(&mut definition).next().unwrap();
        let spec = property(root, "spec").unwrap();
        let members = spec.properties.clone().unwrap();
        let default = serde_json::to_value(ArxivFeedSpec::default()).unwrap();
        for (name, schema) in &members {
            let filled_in = schema.default.as_ref().map(|JSON(value)| value);
            let is_needed = ["schedule", "search"].contains(&name.as_str());
            let expected = default.get(name).filter(|_| !is_needed);
            assert_eq!(filled_in, expected, "{name}");
            assert!(schema.description.is_some(), "{name}");
        }
        assert_eq!(
            spec.required
                .as_ref()
                .map(|needed| needed.iter().map(String::as_str).collect()),
            Some(vec!["schedule", "search"])
        );
        let Value::Object(fields) = default else {
            panic!("no object")
        };
        assert!(fields.keys().all(|name| members.contains_key(name)));
    }

    #[test]
    fn search_of_a_feed_has_all_members_but_those_of_its_runs_and_may_change() {
        let definition = serde_json::to_value(definition()).unwrap();
        let search = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
            ["search"];
        let members: Vec<_> = search["properties"].as_object().unwrap().keys().collect();
        assert_eq!(
            members.len(),
            SEARCH_FIELDS.len() - SET_BY_RUNS.len(),
            "{members:?}"
        );
        assert!(!search.to_string().contains("oldSelf"), "{search}");
        assert!(search["properties"]["author"]["description"].is_string());
    }
}
