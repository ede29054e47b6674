//! Every code with the page that `moin explain` prints. Codes never change their meaning and are never used again.
//!
//! The hundreds say the stage: 01 source, 02 YAML, 03 configuration, 04 render, 05 policy, 06 review,
//! 07 plan, 08 apply and cluster, 09 observation and engine.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The page of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Its number, the `0201` of `MOIN-0201`.
    pub number: u16,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

macro_rules! catalog {
    ($($number:literal $name:ident $title:literal, $meaning:literal, $remedy:literal;)*) => {
        /// The kind of a finding. Prints as `MOIN-0201`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// All codes, by number.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The page of this code.
            pub const fn page(self) -> Page {
                match self {
                    $(Code::$name => Page { number: $number, title: $title, meaning: $meaning, remedy: $remedy },)*
                }
            }
        }
    };
}

catalog! {
    101 SourceUnreachable "The source cannot be reached",
        "The repository could not be fetched. The last good revision stays applied; moin tries again, each time a little later.",
        "Check the URL, the network and the credentials that the message names.";
    102 NotADescendant "The new commit does not descend from the applied one",
        "The branch was rewritten (a force-push), or the source points elsewhere. moin never goes back in history by itself, so nothing of the new commit is applied.",
        "Push a commit on top of the applied one, or approve this revision in the cluster: `moin approve revision COMMIT`.";
    103 FileLeftOut "A file of the repository was left out",
        "Symbolic links, submodules and very large files are not read.",
        "Commit the content itself, or keep the file out of the folders that are rendered.";
    201 BrokenYaml "A document is not valid YAML",
        "The document could not be read as the API server would read it. Other documents of the file are still used.",
        "Correct the line that the message shows.";
    202 DuplicateKey "A key stands twice in one mapping",
        "YAML readers silently keep the last of two equal keys, so one of the two values would be lost.",
        "Remove one of the two lines.";
    203 TooComplex "A document exceeds a limit of the reader",
        "Nesting, aliases or size are beyond what any manifest needs; such documents are used to exhaust memory.",
        "Write the content out without aliases, or split the document.";
    301 BadRepositoryFile "moin.yaml is not valid",
        "A field of moin.yaml is unknown or has a wrong value. Nothing is applied while the repository's own settings are unclear.",
        "Correct the field; docs/repository.md lists all fields.";
    302 BadSettings "A flag, variable or the daemon's file is not valid",
        "The settings that say what to do and where could not be read.",
        "Correct the setting that the message names.";
    401 NotAnObject "A document is not a Kubernetes object",
        "A manifest is a mapping with apiVersion, kind and metadata.name.",
        "Complete the document, or move it out of the folders that are rendered.";
    402 NamespaceMissing "A namespaced object has no namespace",
        "moin never guesses `default`: what lands where must be visible in the file.",
        "Add metadata.namespace.";
    403 NamespaceOnClusterScoped "A cluster-scoped object has a namespace",
        "The kind has no namespace, so the field means nothing.",
        "Remove metadata.namespace.";
    404 DuplicateObject "Two documents describe the same object",
        "Two units or files would fight about one object.",
        "Remove one of them, or put one into a later layer to override the other.";
    405 UnitRefused "A unit has a field that is not understood",
        "The unit has a field that would change what is rendered (patches, postBuild, targetNamespace ...). Applying it without that field would be wrong, so nothing of the unit is applied.",
        "Write what the field does into the manifests, or remove it.";
    406 PathMissing "A path of a unit is not in the repository",
        "A Kustomization or a resources entry names a file or folder that is not there.",
        "Correct the path.";
    407 DependencyCycle "Units depend on each other in a circle",
        "None of the units in the circle could ever begin.",
        "Remove one of the dependencies.";
    408 DependencyMissing "A unit depends on one that does not exist",
        "The unit can never begin.",
        "Correct dependsOn.";
    409 EncryptedFile "A file is encrypted and there is no key",
        "The values are encrypted with SOPS. Applying ciphertext would be wrong, so the object is left alone.",
        "Decrypt it before, or manage the Secret elsewhere.";
    410 FightingController "The repository also installs a controller that would fight with moin",
        "Flux's kustomize-controller applies the same Kustomization objects and would undo what moin does, and the other way round.",
        "Suspend the Kustomizations for Flux, or leave kustomize-controller out of the repository.";
    411 UnitConsumed "A Kustomization object was taken as a unit",
        "moin follows the path of a Flux Kustomization itself; the object is not applied.",
        "Nothing to do.";
    412 ForeignSource "A unit takes its content from another source",
        "The sourceRef names a repository other than this one; its content is not here, so nothing of the unit is applied.",
        "Move the content into this repository, or leave the unit to Flux.";
    413 SafetyNotAllowed "An annotation that switches off a safety stands in a file that may not have it",
        "Annotations that loosen a safety are honoured only in the files that protection.annotations lists.",
        "Remove the annotation, or have the file's pattern added to protection.annotations.";
    414 LayerFolderMissing "A layer or stage names a folder that does not exist",
        "Nothing comes from it; perhaps the name is misspelt.",
        "Correct the name in moin.yaml.";
    415 LayerDirective "A layer says something that cannot be followed",
        "`$moin: delete` removes an object of an earlier layer. It stands alone in its document, and means nothing without layers or without such an object.",
        "Remove the document, or correct its kind, namespace and name.";
    416 TenantOverreach "A tenant's folder holds what reaches beyond the tenant",
        "Objects of a tenant's folder are applied with the tenant's rights. A policy in it would judge and generate with moin's, so it is not obeyed; and an object that several tenants describe together is nobody's, so it is left out.",
        "Move the policy to a folder of the platform; describe an object in one tenant's folder only.";
    501 PolicyInvalid "A policy does not compile",
        "A policy that cannot be understood cannot be obeyed, so every object that it could match is refused.",
        "Correct the policy at the place that the message shows.";
    502 PolicyViolation "An object breaks a policy",
        "The policy is enforced, so the object is not applied.",
        "Change the object as the policy's message says.";
    503 PolicyAudit "An object breaks a policy that only reports",
        "The policy is in Audit mode: the object is applied all the same.",
        "Change the object as the policy's message says.";
    504 PolicyError "A policy could not be evaluated on an object",
        "An expression failed, for example because it reads a field that is not there. An enforced policy then refuses the object.",
        "Correct what the message names: a field that may be absent needs a default (JMESPath: `|| ''`; CEL: `has(...)` before it, or `.?field.orValue(...)`), a signature or an image needs what proves it; else correct the object.";
    505 PolicyUnsupported "A policy uses a part of the language that moin does not evaluate",
        "What cannot be evaluated cannot be promised; the rule fails closed if it is enforced.",
        "Rewrite the rule with what is evaluated (see the table of the policy's kind in docs/policies.md), or take it out and leave it to a tool that evaluates it.";
    506 GenerateFailed "A generate rule could not make its object",
        "A variable could not be resolved or the result is no object.",
        "Correct the rule at the place that the message shows.";
    507 SuiteBroken "A suite of policy tests cannot be run as it is",
        "A file that the suite names cannot be read, or an entry of it is not understood; what it expects is not tested.",
        "Correct the suite at the place that the message shows.";
    508 ContextMissing "A policy asks for what is not known here",
        "The rule reads a ConfigMap, a path of the API server, a service, a registry or a GlobalContextEntry. Offline the repository's own objects and a file of values answer; with a cluster, its API server does. Without an answer the rule is an error, which refuses the object if the policy is enforced.",
        "Describe the object in the repository, or ask a cluster: moin diff --live. Services and registries are never asked; their answers stand in a file for --values FILE: under `apiCallResponses` an entry with `url` (or `urlPath`) and `response: {statusCode, body}`, under `globalContextEntries` one with `name` and `data`, and for what a registry knows of an image the context entry's value itself, under `policies` -> `rules` -> `values`, by the name of the entry.";
    509 NoPolicy "A document among the policies is no policy",
        "Its kind, version or group is not one of a policy, so nobody obeys it. In a folder of policies, a misspelt policy refuses everything, as one that cannot be read does, and so does a policy among the cases of a test that is not about it; what is something else is left out there, and not applied either. GlobalContextEntries and parameters answer policies only where they are rendered.",
        "Correct apiVersion or kind; move what is no policy to a folder that is rendered, and a policy out of the folders admit, reject and generate.";
    510 DeletionSelects "A policy that deletes selects an object",
        "A DeletingPolicy or a CleanupPolicy selects an object that the repository describes. moin deletes nothing by such policies: it deletes only what it can prove to be its own and what the repository no longer describes. Where Kyverno runs it deletes the object when the schedule says so, and moin applies it again.",
        "Take the object out of the repository if it is to go; else narrow the policy so that it leaves alone what the repository describes.";
    511 PolicyUnbound "An admission policy has no binding",
        "The API server does nothing by a ValidatingAdmissionPolicy or MutatingAdmissionPolicy until a binding names it, and neither does moin. Suites of policy tests judge by it all the same, as if it were bound everywhere.",
        "Describe a binding of the policy in the repository, or leave it where it is if the binding is made elsewhere.";
    512 AuditAnnotation "A policy leaves an audit annotation",
        "The policy has auditAnnotations, and this is what it says about the object. The API server writes it into its audit log; it holds nothing up.",
        "Nothing to do.";
    601 VersionDisagrees "Version and class of a Cluster disagree",
        "A ClusterStack's class is named provider-stack-minor-version; the Cluster's version must be of that minor. The ClusterStack operator's webhook refuses anything else.",
        "Change spec.topology.version and the class in one commit.";
    602 TopologyOwned "The object belongs to Cluster API's topology controller",
        "Objects labelled topology.cluster.x-k8s.io/owned are made from a ClusterClass; managing them from git as well would never end.",
        "Change the ClusterClass or the Cluster's variables instead.";
    603 SchemaViolation "An object does not fit the schema of its kind",
        "The API server would refuse it.",
        "Correct the field that the message names.";
    604 VersionStep "A Cluster's version cannot go there",
        "Cluster API lets a version only go up, and by one minor at a time. A lower one is refused for ever: a git revert of an upgrade cannot be applied.",
        "Go up one minor after the other; make a new Cluster for an older Kubernetes.";
    605 FieldImmutable "A field cannot change",
        "The controllers' webhooks refuse a change of this field. A template is not changed but copied under a new name, which then stands in what uses it.",
        "Set the field back, or make a new object under another name.";
    606 VersionMalformed "The version of a Cluster is not in the form v1.34.2",
        "Cluster API takes a whole version: major, minor and patch. It adds a missing `v`, so that what is stored is not what is in git.",
        "Write the version whole, with its `v`.";
    607 ControlPlaneReplicas "A control plane has a number of replicas that cannot be",
        "etcd runs beside the API server and needs a majority, so kubeadm's control plane takes odd numbers only.",
        "Use 1, 3 or 5.";
    608 ClusterStackInvalid "A ClusterStack is not as its operator demands",
        "The operator's webhook refuses versions of another channel, and a missing providerRef.",
        "Correct the field that the message names.";
    609 ClassNotReleased "No ClusterStack makes the class of a Cluster",
        "The class has the name of a ClusterStack's release, but no ClusterStack of the namespace lists that version. The Cluster would wait for ever.",
        "Add the version to a ClusterStack first, or use a class that there is.";
    610 VariableInvalid "A variable of a Cluster does not fit its ClusterClass",
        "The ClusterClass says which variables there are, which are required, and what they hold. Cluster API refuses the Cluster otherwise.",
        "Correct the variable that the message names.";
    611 WorkerClassMissing "Workers are of a class that the ClusterClass does not have",
        "Each group of workers names a class of the ClusterClass's workers. Cluster API refuses the Cluster otherwise.",
        "Use one of the classes that the message names.";
    612 ClusterNameClash "Two Clusters would share resources in OpenStack",
        "Networks, routers and load balancers are found by name, and the names are made from those of namespace and Cluster. In one project, two Clusters whose names come out the same take each other's.",
        "Give one of the two another name, or a project of its own.";
    701 KindNotServed "Nobody serves the kind of an object",
        "The API server does not know the kind, and no CRD in the repository brings it. The object waits alone; everything else goes on.",
        "Install what brings the kind (often a chart), or remove the object.";
    702 Conflict "A field belongs to somebody else",
        "Another field manager owns a field that the repository sets anew. moin does not take fields by force.",
        "Let the other manager give it up, leave the field out, or say `moin.scs.community/on-conflict: take` in an allowed file.";
    703 NotAdopted "An object exists already and is not ours",
        "It lacks our owner label, and differs from what the repository says.",
        "Compare both, then allow adoption in moin.yaml (`adoption`), or by annotation in an allowed file.";
    704 ApprovalNeeded "A deletion needs an approval",
        "The object's kind is protected, or the commit deletes more than protection.maxDeletions.",
        "Give it with `moin approve` or an entry of spec.approvals in moin.yaml, or restore the object.";
    705 ForeignOwner "An object belongs to another repository",
        "Its owner label names another repository; moin leaves it alone.",
        "Remove it from one of the two repositories.";
    706 SourceMismatch "Another source uses the same name",
        "The cluster's Reconciliation records another URL or path for this owner name. Two sources under one name would delete each other's objects.",
        "Give this repository another metadata.name, or delete the recorded Reconciliation on purpose.";
    707 PolicyWeakened "A change weakens what guards the cluster",
        "The change removes or loosens a policy or a protection. The old one still judges this change.",
        "Review this first.";
    708 DriftReported "An object was changed by hand and is not repaired",
        "The object says `drift: report`, so the change stays and is shown.",
        "Undo the change, or take it into the repository.";
    709 OwnGrave "A management cluster would be deleted or made a second time",
        "The object is the Cluster that an instance of moin or its peer runs on, or something that takes it along. moin never deletes or recreates it, whatever the repository or an approval says.",
        "Restore the object in the repository; to retire a management cluster, move its work away first and take it out of `clusters` in moin.yaml.";
    710 MayExistAlready "A Cluster may exist already",
        "The cluster that holds it was built anew, and its peer remembers this Cluster as provisioned: creating the object again would build a second real cluster.",
        "Bring the object back with `clusterctl move` or from a backup, or approve the second one: {action: create, object: Cluster/NAMESPACE/NAME}.";
    711 MoveInProgress "`clusterctl move` works in a namespace",
        "The Clusters of the namespace are paused by somebody other than the repository, or marked to be deleted by a move. A write now could bring back at the source what lives at the destination already, so none is sent.",
        "Wait for the move to end; if none runs, unpause the Clusters that the message names.";
    720 StillInUse "An object is kept because another one needs it",
        "The repository renders the object no more, but something that stays is in it or refers to it. Deleting it would delete that as well, or leave it hanging.",
        "Remove what needs it from the repository as well, or restore the object.";
    721 DeletionHeldUp "Something in a cluster would hold its deletion up",
        "Load balancers and volumes that a workload cluster has made in the cloud keep its networks in use: the Cluster's deletion would hang, or leave them behind, paid for and without an owner. The deletion waits.",
        "Delete what the message names in that cluster, or let it go all the same with `moin approve force-delete`.";
    722 DeletionUnderWay "A deletion is under way",
        "The object is marked as deleted, and its finalizers are not done. What must outlive it waits.",
        "Nothing, while it moves; if it does not, look at what the controllers of its finalizers say.";
    723 SuspendedByOperator "An operator has suspended it",
        "What is suspended is neither written nor pruned, and drift in it stays.",
        "Let it go on with `moin resume`.";
    724 NotRevertible "A change cannot be taken back",
        "The way back to the older state is closed, or loses something: the API server refuses the older value of a field that never changes, objects are stored in a version that the older definition does not have, or an object was deleted since and what it held (data of a volume, what is in a namespace) is not in git.",
        "Keep what the message names as it is now, or recreate the object (`moin approve recreate`) and restore what it held from a backup.";
    801 ApplyRefused "The API server refused an object",
        "The request was answered with an error that trying again does not mend.",
        "Correct the object as the server's message says.";
    802 ApplyFailed "An object could not be applied for now",
        "The API server was not reachable, overloaded, or answered with a passing error. moin tries again, each time a little later.",
        "Wait; look at the API server if it stays.";
    803 DeleteFailed "An object could not be deleted for now",
        "The API server refused or did not answer the deletion.",
        "Look at the message; finalizers are named in it.";
    804 ClusterUnreachable "The cluster cannot be reached",
        "No request was answered.",
        "Check the kubeconfig, the network and the credentials.";
    805 LeaseHeld "Another instance holds the lease",
        "Only the holder of the lease in the target writes to it.",
        "Wait until it is given back, or stop the other instance.";
    806 NotIdempotent "The server changes an object each time it is applied",
        "The same dry-run difference came twice for an unchanged object: a webhook or controller rewrites it. moin stopped writing it.",
        "Leave the field out of the repository, or mend the webhook.";
    807 TerminatingNamespace "The namespace of an object is being deleted",
        "Nothing is created in a namespace that is going.",
        "Wait until it is gone, or remove the object from the repository.";
    808 PeerKubeconfig "The kubeconfig of a peer cannot be used",
        "The Secret that leads to the peer is missing, lacks its key, or holds no kubeconfig that may be used: one from a cluster may run no program and name no file.",
        "Look at the Secret that the message names; Cluster API writes it as NAME-kubeconfig, key `value`.";
    809 PeerCredentials "A peer does not accept the credentials of its kubeconfig",
        "The certificate is expired, or the API server does not know who asks.",
        "Have the kubeconfig renewed; moin takes the new one as soon as the Secret holds it.";
    810 WrongCluster "A kubeconfig leads to another cluster than the one it is for",
        "The uid of the namespace kube-system is that of another known cluster, the Lease in it names another management cluster, or it holds what another repository put there. Nothing is written to it.",
        "Correct the Secret, `clusters` in moin.yaml, or --cluster. After a renaming, delete the Lease that the message names.";
    811 PeerRebuilt "A management cluster was built anew",
        "The uid of the namespace kube-system is another than the one that was recorded. It is filled from the repository once somebody approves, or at once with `rebuild: auto`.",
        "Look whether this is really the cluster that was built anew; then add an approval: {action: rebuild, cluster: NAME}.";
    812 Unfenced "The API server does not refuse writes of an instance that lost the lease",
        "The admission policy that lets only the holder of the lease write could not be put in place. The lease and the preconditions of each change still hold; an instance that was frozen could create an object when it wakes.",
        "Let moin's account write validatingadmissionpolicies and impersonate itself, as the message says; docs/operations.md has the rules.";
    813 NotHolder "The API server refused a write of an instance that does not hold the lease",
        "Another instance took the lease while the write was under way; the admission policy of the lease refused it. Nothing was changed.",
        "Nothing to do: the other instance writes.";
    814 NoPolicyReports "What policies say cannot be written into the cluster as reports",
        "moin writes one PolicyReport for each namespace, and one ClusterPolicyReport, where the cluster serves these kinds. Either moin.yaml asks for them and nobody defines them, or moin may not write them. Nothing else depends on it.",
        "Install the definitions of wgpolicyk8s.io or openreports.io, print the rights anew with `moin install`, or say `policyReports: false` in moin.yaml.";
    820 ProtocolUnknown "Another instance speaks a newer protocol",
        "The Lease was last written by a newer moin, with rules that this one does not know. It takes no part.",
        "Run the same version on both sides.";
    821 LeaseTimesDiffer "Instances disagree how long a lease lasts",
        "Another instance renews its lease for another time than `spec.peers.lease` of moin.yaml says here: it is at another commit, or follows another repository. What the holder says counts, so nothing is at risk; but who stands in, and when, is not what either of them expects.",
        "Let both follow the same commit of the same repository.";
    901 Drift "An object was changed by hand",
        "A field that the repository sets was changed in the cluster, and was set back.",
        "Change it in the repository.";
    902 Unhealthy "An object that somebody waits for is not healthy",
        "The unit waits for it until its time-out.",
        "Look at the object's conditions.";
    903 UnitTimedOut "A unit did not become ready in time",
        "What it waits for was not healthy within its time-out.",
        "Look at the objects that the message names.";
    904 DependencyNotReady "A unit waits for another one",
        "A unit that it depends on is not ready.",
        "Look at that unit.";
}

impl Code {
    /// Its number, the `201` of `MOIN-0201`.
    pub const fn number(self) -> u16 {
        self.page().number
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MOIN-{:04}", self.number())
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(s: &str) -> Result<Code, String> {
        let upper = s.to_ascii_uppercase();
        let number = upper.strip_prefix("MOIN-").unwrap_or(&upper).parse::<u16>().ok();
        Code::ALL
            .iter()
            .copied()
            .find(|code| Some(code.number()) == number)
            .ok_or_else(|| format!("{s:?} is not a code of moin; codes look like MOIN-0201"))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_sorted_and_explained() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        for code in Code::ALL {
            assert_eq!(code.to_string().parse::<Code>().unwrap(), *code);
            let page = code.page();
            assert!(
                !page.title.ends_with('.') && page.meaning.ends_with('.') && page.remedy.ends_with('.'),
                "{code}"
            );
        }
    }
}
