//! What expressions can ask of the world around the object they are about.

use std::fmt::Debug;

use serde_json::Value;

/// Why a question has no answer to judge by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// A cluster is asked, or did not answer in time.
    Open,
    /// A cluster answered that it is not to be had.
    NotThere,
    /// Too much else is asked for.
    TooMany,
    /// Nothing describes it, and no cluster is asked.
    Undescribed,
    /// It would change something, or a service would have to be called.
    NotSent,
    /// A registry would have to be asked.
    NotPulled,
}

/// Answers questions about other objects, services and images. Every method says by default that nothing is known.
pub trait Outside: Debug + Sync {
    /// What an API server answers to a GET of a path (`/api/v1/namespaces/a/configmaps/b`, with or without a query).
    ///
    /// # Errors
    /// Why there is no answer.
    fn get(&self, path: &str) -> Result<Value, String> {
        Err(format!("{path} is not looked up here"))
    }

    /// What an API server answers to a POST.
    ///
    /// # Errors
    /// Why there is no answer.
    fn post(&self, path: &str, _body: &Value) -> Result<Value, String> {
        Err(format!("{path} is not asked here"))
    }

    /// What a service answers.
    ///
    /// # Errors
    /// Why there is no answer.
    fn call(&self, _method: &str, url: &str, _body: Option<&Value>) -> Result<Value, String> {
        Err(format!("{url} is not called here"))
    }

    /// What a service answers as a whole, `statusCode` and `body`, if that was given beforehand.
    fn response(&self, _method: &str, _url: &str) -> Option<Value> {
        None
    }

    /// The data of a GlobalContextEntry.
    fn global(&self, _name: &str) -> Option<Value> {
        None
    }

    /// What a registry knows of an image.
    ///
    /// # Errors
    /// Why there is no answer.
    fn image(&self, reference: &str) -> Result<Value, String> {
        Err(format!("the registry of {reference} is not asked here"))
    }

    /// All objects of a kind, whatever their version; `*` stands for every version or kind.
    fn objects(&self, _api_version: &str, _kind: &str) -> Vec<&Value> {
        Vec::new()
    }

    /// The objects of a list that nobody describes and that live in a cluster. `enough` says that what is described will
    /// do where no cluster can be asked.
    ///
    /// # Errors
    /// Why nobody knows.
    fn living(&self, path: &str, _enough: bool) -> Result<Vec<Value>, String> {
        Err(format!("{path} is not looked up here"))
    }

    /// How often a Secret was among the answers: what was made of one must not be shown.
    fn secrets_told(&self) -> usize {
        0
    }

    /// How many questions had no answer so far.
    fn lacks(&self) -> usize {
        0
    }

    /// Why the last question had no answer, if there was one after the first `since` of them.
    fn lack(&self, _since: usize) -> Option<Lack> {
        None
    }

    /// Who answers a question: `the cluster`. `None` where that is of no interest.
    fn teller(&self, _method: &str, _target: &str) -> Option<&'static str> {
        None
    }

    /// Whether an error in place of an answer is itself what somebody answered, and not a question that is still open.
    fn has_answered(&self, _method: &str, _target: &str) -> bool {
        true
    }
}
