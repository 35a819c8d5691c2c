use firelet_types::{AccountId, Ids, Region};

use super::*;
use crate::function::tests::record;
use crate::{Options, Store, Version};

fn scope() -> Scope {
    Scope { account: AccountId::local(), region: Region::local() }
}

async fn store(folder: &tempfile::TempDir, functions: &[&str]) -> Store {
    let store = Store::open(&Options { data_directory: folder.path().join("data") }).unwrap();
    for name in functions {
        let record = record(name, Version::Latest, 0);
        let put = move |entry: &mut crate::function::Entry<'_>| entry.put(&record);
        store.functions().update::<_, Error, _>(&scope(), &name.parse().unwrap(), put).await.unwrap();
    }
    store
}

fn event(function: &str, accepted: i64) -> NewEvent {
    NewEvent {
        scope: scope(),
        function: function.parse().unwrap(),
        qualifier: Some(Qualifier::from("live")),
        request_id: RequestId::new(&Ids::system()),
        accepted: Timestamp::from_millis(accepted),
        tenant: Some("tenant 1".parse().unwrap()),
        trace_header: Some("Root=1-5759e988-bd862e3fe1be46a994272793".to_owned()),
        payload: Bytes::from_static(b"{\"a\": 1}"),
    }
}

/// Accepts an event and gives its id.
async fn put(store: &Store, event: NewEvent) -> EventId {
    assert!(store.events().put(event).await.unwrap());
    store.events().lanes().unwrap().0
}

/// The ids of the events that wait, by function.
fn waiting(store: &Store) -> Vec<Vec<EventId>> {
    let lanes = store.events().lanes().unwrap().1;
    let ids = |lane| store.events().waiting(lane, 100).unwrap().iter().map(|waiting| waiting.id).collect();
    lanes.into_iter().map(|owned| ids(owned.lane)).collect()
}

#[tokio::test]
async fn an_event_reads_back_whole_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, &["a"]).await;
    let bare = NewEvent {
        qualifier: None,
        tenant: None,
        trace_header: None,
        payload: Bytes::new(),
        ..event("a", 6)
    };
    for accepted in [event("a", 5), bare] {
        let id = put(&store, accepted.clone()).await;
        let stored = Event { accepted: accepted.clone(), progress: Progress::default() };
        assert_eq!(store.events().get(id).unwrap(), Some(stored));
        let progress = Progress { invocations: 1, setbacks: 2 };
        store.events().postpone(id, progress, Timestamp::from_millis(70)).await.unwrap();
        assert_eq!(store.events().get(id).unwrap(), Some(Event { accepted, progress }));
        assert_eq!(store.events().end(id, None).await.unwrap(), FollowUp::Done);
        assert_eq!(store.events().get(id).unwrap(), None);
        assert_eq!(store.events().end(id, Some(event("a", 9))).await.unwrap(), FollowUp::Superseded);
    }
    assert_eq!(waiting(&store), Vec::<Vec<_>>::new());
}

#[tokio::test]
async fn events_wait_in_the_order_in_which_they_are_due() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, &["a", "b"]).await;
    let [first, second, other] = [event("a", 5), event("a", 5), event("b", 3)];
    let (first, second, other) =
        (put(&store, first).await, put(&store, second).await, put(&store, other).await);
    assert_eq!(waiting(&store), [vec![first, second], vec![other]]);
    store.events().postpone(first, Progress::default(), Timestamp::from_millis(6)).await.unwrap();
    assert_eq!(waiting(&store), [vec![second, first], vec![other]]);
    let Owned { lane, account } = store.events().lanes().unwrap().1[0].clone();
    assert_eq!(account, scope().account);
    let one = store.events().waiting(lane, 1).unwrap();
    assert_eq!(one, [Waiting { due: Timestamp::from_millis(5), id: second }]);
}

#[tokio::test]
async fn what_arrives_is_seen_once_even_after_the_last_event_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, &["a", "b"]).await;
    assert_eq!(store.events().lanes().unwrap(), (EventId(0), Vec::new()));
    let first = put(&store, event("a", 1)).await;
    let (seen, lanes) = store.events().arrivals(EventId(0)).unwrap();
    assert_eq!((seen, lanes.len()), (first, 1));
    store.events().end(first, None).await.unwrap();
    let second = put(&store, event("b", 1)).await;
    assert!(second > first);
    let (seen, lanes) = store.events().arrivals(seen).unwrap();
    assert_eq!((seen, lanes.len()), (second, 1));
    assert_eq!(store.events().arrivals(seen).unwrap(), (second, Vec::new()));
}

#[tokio::test]
async fn an_event_follows_from_the_end_of_another_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, &["a", "b"]).await;
    let first = put(&store, event("a", 1)).await;
    let follow_up = event("b", 2);
    assert_eq!(store.events().end(first, Some(follow_up.clone())).await.unwrap(), FollowUp::Done);
    let [ids] = &waiting(&store)[..] else { panic!("one function has events") };
    assert_eq!(store.events().get(ids[0]).unwrap().unwrap().accepted, follow_up);
    let second = ids[0];
    let missing = store.events().end(second, Some(event("missing", 3))).await.unwrap();
    assert_eq!(missing, FollowUp::FunctionMissing);
    assert_eq!(store.events().get(second).unwrap(), None);
}

#[tokio::test]
async fn events_go_with_their_function_and_none_are_taken_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, &["a", "b"]).await;
    let (gone, kept) = (put(&store, event("a", 1)).await, put(&store, event("b", 1)).await);
    let name = "a".parse().unwrap();
    store.functions().update::<_, Error, _>(&scope(), &name, |entry| entry.delete()).await.unwrap();
    assert!(!store.events().put(event("a", 1)).await.unwrap());
    assert_eq!(store.events().get(gone).unwrap(), None);
    assert_eq!(waiting(&store), [[kept]]);
}

#[tokio::test]
async fn events_do_not_disturb_whoever_keeps_look_ups() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder, &["a"]).await;
    let (records, events) = (store.changes().generation(), store.events().changes().generation());
    let id = put(&store, event("a", 1)).await;
    store.events().end(id, None).await.unwrap();
    assert_eq!(store.changes().generation(), records);
    assert_eq!(store.events().changes().generation(), events + 2);
}

#[tokio::test]
async fn events_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let accepted = event("a", 1);
    let id = put(&store(&folder, &["a"]).await, accepted.clone()).await;
    let store = store(&folder, &[]).await;
    assert_eq!(store.events().get(id).unwrap().unwrap().accepted, accepted);
    assert_eq!(store.events().lanes().unwrap().0, id);
}
