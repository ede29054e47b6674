use serde_json::json;

use super::*;
use crate::expr::{Lack, Outside as _};
use crate::finding::{Code, Finding};

fn object(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "n"}})
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

#[test]
fn the_repository_answers_what_it_describes_and_the_rest_is_missing() {
    let (a, b) = (object("ConfigMap", "a"), object("ConfigMap", "b"));
    let world = World::nothing();
    let around = Neighbours::new(&world, &[], [&a, &b]);
    let asking = around.of(&b);
    assert!(!asking.asked());
    assert_eq!(asking.get("/api/v1/namespaces/n/configmaps/a").unwrap(), a);
    assert_eq!(names(&asking.get("/api/v1/namespaces/n/configmaps").unwrap()), ["a"], "b is not there yet");
    assert!(asking.asked() && world.open().is_empty());
    let error = asking.get("/api/v1/namespaces/n/configmaps/c").unwrap_err();
    let mut finding = Finding::error(Code::PolicyError, format!("p/r: {error}"));
    asking.explain(&mut finding, asking.lack(0));
    assert_eq!(finding.code, Code::ContextMissing);
    assert!(finding.help.unwrap().contains("--values FILE"));
    let mut other = Finding::error(Code::PolicyError, "p/r: another matter");
    asking.explain(&mut other, asking.lack(asking.lacks()));
    assert_eq!(other.code, Code::PolicyError);
}

#[test]
fn a_cluster_is_asked_once_and_what_is_described_goes_over_it() {
    let described = object("ConfigMap", "a");
    let path = "/api/v1/namespaces/n/configmaps".to_owned();
    let mut world = World::nothing().with_cluster();
    {
        let around = Neighbours::new(&world, &[], [&described]);
        let pod = object("Pod", "p");
        let asking = around.of(&pod);
        assert!(asking.get(&path).unwrap_err().contains("is being asked for"));
        assert_eq!(asking.global("g"), None);
    }
    assert_eq!(world.open(), [path.clone(), "/apis/kyverno.io/v2beta1/globalcontextentries/g".to_owned()]);
    let before = world.version();
    let old = json!({"metadata": {"name": "a", "namespace": "n"}, "data": {"old": "x"}});
    let list = json!({"kind": "ConfigMapList", "apiVersion": "v1", "items": [old, object("ConfigMap", "z")]});
    let entry = json!({"spec": {"kubernetesResource": {"version": "v1", "resource": "configmaps", "namespace": "n"},
        "projections": [{"name": "count", "jmesPath": "length(@)"}]}});
    world.take([
        (path.clone(), Ok(list)),
        ("/apis/kyverno.io/v2beta1/globalcontextentries/g".into(), Ok(entry)),
    ]);
    assert!(world.open().is_empty() && world.version() != before);
    let around = Neighbours::new(&world, &[], [&described]);
    let pod = object("Pod", "p");
    let asking = around.of(&pod);
    let list = asking.get(&path).unwrap();
    assert_eq!(names(&list), ["z", "a"]);
    assert_eq!(list["items"][1], described);
    assert_eq!(asking.global("g.count"), Some(json!(2)));
}

#[test]
fn what_is_of_no_use_is_forgotten_and_what_is_too_much_says_so() {
    let mut world = World::nothing().with_cluster();
    let judged = object("Pod", "p");
    let ask = |world: &World, path: &str| Neighbours::new(world, &[], []).of(&judged).get(path);
    for at in 0..MOST_QUESTIONS {
        assert!(ask(&world, &format!("/{at}")).unwrap_err().contains("is being asked for"));
    }
    assert!(ask(&world, "/more").unwrap_err().contains("more than 2000 paths"));
    let open = world.open();
    world.take(open.into_iter().map(|path| (path, Ok(Value::Null))));
    assert_eq!(ask(&world, "/7"), Ok(Value::Null));
    world.settle();
    assert_eq!(world.asked(), ["/7"]);
    assert!(ask(&world, "/more").unwrap_err().contains("is being asked for"));
    assert!(world.wants("/7") && world.wants("/more") && !world.wants("/8"));
}

#[test]
fn given_answers_come_first() {
    let world = World::nothing().given(json!({
        "globalValues": {"x": 1},
        "apiCallResponses": [{"urlPath": "/a", "response": {"body": 1}}, {"method": "POST", "url": "https://b", "response": {"statusCode": 500}}],
        "globalContextEntries": [{"name": "g", "data": [1]}]}));
    let around = Neighbours::new(&world, &[], []);
    let asking = around.of(&Value::Null);
    assert_eq!(asking.get("/a"), Ok(json!(1)));
    assert!(asking.call("POST", "https://b", None).unwrap_err().contains("500"));
    assert!(asking.call("GET", "https://b", None).unwrap_err().contains("not called"));
    assert!(asking.has_answered("POST", "https://b") && !asking.has_answered("GET", "https://b"));
    assert!(!asking.has_answered("GET", "/b"), "what nobody answered does not take a default");
    assert!(asking.image("a:1").unwrap_err().contains("not evaluated offline"));
    assert_eq!(asking.global("g"), Some(json!([1])));
    assert_eq!(around.values_for(&Value::Null).unwrap().global["x"], 1);
}

#[test]
fn a_time_out_is_no_answer_and_takes_the_place_of_none() {
    let mut world = World::nothing().with_cluster();
    let judged = object("Pod", "p");
    let path = "/api/v1/namespaces/n/configmaps/a";
    let ask = |world: &World| {
        let around = Neighbours::new(world, &[], []);
        let asking = around.of(&judged);
        let answer = asking.get(path);
        (answer, asking.has_answered("GET", path), asking.lack(0))
    };
    assert_eq!(ask(&world).2, Some(Lack::Open));
    world.hear([(path.to_owned(), Err("no answer within 5 s".to_owned()))]);
    assert!(world.open().is_empty(), "the plan goes on without");
    let (answer, has_answered, lack) = ask(&world);
    assert!(answer.unwrap_err().ends_with("has no answer: no answer within 5 s"));
    assert!(!has_answered && lack == Some(Lack::Open), "so that no default decides");
    world.settle();
    assert_eq!(world.asked(), [path], "it is asked again");
    world.hear([(path.to_owned(), Ok(Ok(object("ConfigMap", "a"))))]);
    let version = world.version();
    world.hear([(path.to_owned(), Err("no answer within 5 s".to_owned()))]);
    assert_eq!((ask(&world).0, world.version()), (Ok(object("ConfigMap", "a")), version));
    world.hear([(path.to_owned(), Ok(Err("not found".to_owned())))]);
    let (answer, has_answered, lack) = ask(&world);
    assert!(answer.is_err() && has_answered && lack == Some(Lack::NotThere));
}

#[test]
fn a_list_of_what_nobody_knows_is_an_open_question() {
    let world = World::nothing();
    let custom = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "w"},
        "spec": {"group": "g.io", "names": {"plural": "widgets", "kind": "Widget"}, "versions": [{"name": "v1"}]}});
    let clusters = json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "metadata": {"name": "c", "namespace": "n"}});
    let around = Neighbours::new(&world, &[], [&custom, &clusters]);
    let asking = around.of(&Value::Null);
    for (path, count) in [
        ("/apis/apps/v1/namespaces/team/deployments", 0),
        ("/apis/g.io/v1/widgets", 0),
        ("/apis/cluster.x-k8s.io/v1beta1/namespaces/other/clusters", 0),
        ("/apis/cluster.x-k8s.io/v1beta1/clusters?labelSelector=!a", 1),
    ] {
        assert_eq!(names(&asking.get(path).unwrap()).len(), count, "{path}");
    }
    assert_eq!(asking.lacks(), 0);
    for path in [
        "/apis/apps/v1/namespaces/team/deployment",
        "/apis/app/v1/deployments",
        "/apis/apps/v7/deployments",
        "/apis/g.io/v2/widgets",
    ] {
        let before = asking.lacks();
        assert!(asking.get(path).unwrap_err().contains("is not described"), "{path}");
        assert_eq!(
            (asking.lack(before), asking.teller("GET", path)),
            (Some(Lack::Undescribed), None),
            "{path}"
        );
    }
    let none = Neighbours::none(&world);
    assert!(none.of(&Value::Null).get("/api/v1/pods").is_err(), "without a repository nobody tells");
}
