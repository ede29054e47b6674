//! From what a rule makes its objects.

use serde_json::Value;

use super::{Content, ForEach, Generate, Made, Makes};
use crate::expr::Context;
use crate::expr::explain::{ELEMENTS, Steps};
use crate::policy::variables::{self, bind_element};

impl Generate {
    /// What is named and filled in by variables, and their values.
    pub(crate) fn explain(&self, context: &Context<'_>) -> Steps {
        let mut steps = Steps::default();
        match &self.makes {
            Makes::One(made) => made.explain(context, 0, &mut steps),
            Makes::ForEach(loops) => {
                for (at, step) in loops.iter().enumerate() {
                    steps.head(0, format!("foreach[{at}] of"));
                    steps.append(1, step.list.explain(context));
                    step.explain(context, &mut steps);
                }
            }
        }
        steps
    }
}

impl ForEach {
    fn explain(&self, context: &Context<'_>, steps: &mut Steps) {
        let Ok(list) = context.query(&self.list) else { return };
        let elements = match list.as_ref() {
            Value::Array(elements) => elements.as_slice(),
            other => std::slice::from_ref(other),
        };
        for (index, element) in elements.iter().enumerate().take(ELEMENTS) {
            let mut inner = context.child();
            bind_element(&mut inner, element, index, 0);
            variables::bind(&mut inner, &self.entries);
            let mut told = Steps::default();
            if variables::explain_preconditions(self.preconditions.as_ref(), &inner, &mut told) {
                self.made.explain(&inner, 0, &mut told);
            }
            steps.add(1, format!("element {index}"), Ok(element.clone()));
            steps.append(2, variables::explain(&inner, &self.entries));
            steps.append(2, told);
        }
    }
}

impl Made {
    fn explain(&self, context: &Context<'_>, depth: usize, steps: &mut Steps) {
        let target = self.target.resolve(context).map(|target| target.into_owned());
        steps.add(depth, "the object to make", target.map_err(|error| error.to_string()));
        steps.append(depth + 1, self.target.explain(context));
        match &self.content {
            Content::Nothing => {}
            Content::Data(data) => {
                steps.head(depth, "from data");
                steps.append(depth + 1, data.explain(context));
            }
            Content::Clone(source) => {
                let value = source.resolve(context).map(|value| value.into_owned());
                steps.add(depth, "as a copy of", value.map_err(|error| error.to_string()));
                steps.append(depth + 1, source.explain(context));
            }
            Content::CloneList { namespace, kinds, selector } => {
                let text = selector
                    .as_ref()
                    .map_or(String::new(), |selector| format!(" with labels {}", selector.written()));
                let shown = kinds.iter().filter_map(|kind| kind.resolve(context).ok());
                let shown: Vec<Value> = shown.map(|kind| kind.into_owned()).collect();
                steps.add(depth, format!("as copies of all{text}"), Ok(shown.into()));
                if let Some(namespace) = namespace {
                    let value = namespace.resolve(context).map(|value| value.into_owned());
                    steps.add(depth + 1, "in namespace", value.map_err(|error| error.to_string()));
                }
            }
        }
    }
}
