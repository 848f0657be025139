//! Objects with the longest name that Kubernetes allows.

use crd::Phase;
use testbed::TestEnv;
use testbed::stack::Options;
use testbed::test_env::search;

#[tokio::test(flavor = "multi_thread")]
async fn query_with_the_longest_name_is_recorded_and_has_its_event() {
    let env = TestEnv::start(Options::operator_only()).await;
    let name = format!("{}-{}", "a".repeat(235), "b".repeat(17));
    assert_eq!(name.len(), 253);
    env.create(&name, search("long")).await;
    assert_eq!(env.finished(&name).await.phase, Phase::Succeeded);
    env.until_events(&name, &["Succeeded"]).await;
    assert_eq!(
        env.count("public.queries where length(object_name) = 253").await,
        1
    );
}
