//! The computable figures of docs/scaling.md: requests to arXiv with shared pages, and the sizes that the chart derives from the values shown there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chart::{Objects, pods, read, render};

/// Seconds in arXiv's day.
const DAY: f64 = 86_400.0;
/// Seconds between two requests to arXiv.
const INTERVAL: f64 = 3.0;

/// The searches of a day: the rate per second and the number of different searches, the n-th of which has a frequency
/// proportional to 1/n (Zipf).
struct Demand {
    per_second: f64,
    shares: Vec<f64>,
}

impl Demand {
    fn new(per_second: f64, different: u32) -> Self {
        let weights: Vec<f64> = (1..=different).map(|rank| f64::from(rank).recip()).collect();
        let sum: f64 = weights.iter().sum();
        let shares = weights.into_iter().map(|weight| weight / sum).collect();
        Self { per_second, shares }
    }

    /// The number of different searches in the first `seconds` of a day: each is one request to arXiv.
    fn requests(&self, seconds: f64) -> f64 {
        let asked = |share: &f64| -(-self.per_second * seconds * share).exp_m1();
        self.shares.iter().map(asked).sum()
    }

    /// The longest wait of a search, in seconds: until all earlier ones have had their slot.
    fn longest_wait(&self) -> f64 {
        // Close together in the beginning, when most searches are new.
        (0..=96_i32)
            .map(|step| 10.0 * (DAY / 10.0).powf(f64::from(step) / 96.0))
            .map(|time| self.requests(time) * INTERVAL - time)
            .fold(0.0, f64::max)
    }
}

/// Simulates a day, search by search, by the rules of the gate and the pages: a stored page is used, a page that is being fetched
/// is waited for by all, and others get slots in turn. Returns the number of requests and the longest wait in seconds.
fn simulate(demand: &Demand, mut random: u64) -> (u32, f64) {
    // SplitMix64, for the same day in each run.
    let mut next = || {
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = u32::try_from((z ^ (z >> 31)) >> 32).unwrap();
        (f64::from(bits) + 0.5) / 4_294_967_296.0
    };
    let sums: Vec<f64> = demand
        .shares
        .iter()
        .scan(0.0, |sum, share| {
            *sum += share;
            Some(*sum)
        })
        .collect();
    let mut known = vec![false; sums.len()];
    let mut queue: VecDeque<f64> = VecDeque::new();
    let (mut time, mut turn, mut requests, mut longest) = (0.0, 0.0, 0, 0.0_f64);
    loop {
        time -= next().ln() / demand.per_second;
        // Slots before this search; after the last search of the day all waiting ones get theirs.
        while turn <= time.min(DAY)
            && let Some(asked) = queue.pop_front()
        {
            let at = f64::max(turn, asked);
            longest = longest.max(at - asked);
            turn = at + INTERVAL;
        }
        if time > DAY {
            let last = queue.back().map_or(0.0, |asked| {
                turn + INTERVAL * f64::from(u32::try_from(queue.len()).unwrap() - 1) - asked
            });
            return (requests, longest.max(last));
        }
        let place = next();
        let search = sums.partition_point(|sum| *sum < place).min(sums.len() - 1);
        if !std::mem::replace(&mut known[search], true) {
            requests += 1;
            queue.push_back(time);
        }
    }
}

/// The rows of the table below a line of the page, as cells.
fn table(page: &str, title: &str) -> Vec<Vec<String>> {
    let (_, rest) = page.split_once(title).unwrap_or_else(|| panic!("no {title}"));
    rest.lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().replace(',', ""))
                .collect()
        })
        .collect()
}

fn near(documented: &str, real: f64, what: &str) {
    let number: f64 = documented
        .parse()
        .unwrap_or_else(|_| panic!("{what}: {documented}"));
    let off = (number - real).abs();
    assert!(
        off <= (real * 0.02).max(0.6),
        "{what}: the page says {documented}, it is {real:.1}"
    );
}

/// A duration for people.
fn seconds(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').unwrap_or_else(|| panic!("{text}"));
    let number: f64 = number.parse().unwrap();
    number
        * match unit {
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            other => panic!("{other}"),
        }
}

#[test]
fn scaling_page_has_computed_request_figures() {
    let page = read("docs/scaling.md").unwrap();
    let rows = table(&page, "## What arXiv allows");
    assert!(rows.len() >= 6);
    for row in rows {
        let [per_second, different, requests, answered, fits, wait] = row.as_slice() else {
            panic!("{row:?}")
        };
        let what = format!("{per_second} a second of {different}");
        let demand = Demand::new(per_second.parse().unwrap(), different.parse().unwrap());
        let asked = demand.requests(DAY);
        near(requests, asked, &what);
        let share = 100.0 * (1.0 - asked / (demand.per_second * DAY));
        near(answered.trim_end_matches(" %"), share, &what);
        let possible = asked <= DAY / INTERVAL;
        assert_eq!(fits == "yes", possible, "{what}");
        if possible {
            let real = demand.longest_wait();
            let documented = seconds(wait);
            assert!(
                documented >= real && documented <= (real * 1.2).max(real + 30.0),
                "{what}: {wait}, it is {real:.0} s"
            );
        } else {
            assert_eq!(wait, "grows", "{what}");
        }
    }
}

/// The formula behind the table is compared with a simulation of the rules.
#[test]
fn request_formula_agrees_with_simulated_day() {
    for (per_second, different) in [(0.1, 10_000), (1.0, 10_000), (10.0, 1_000), (1.0, 1_000_000)] {
        let demand = Demand::new(per_second, different);
        let (requests, longest) = simulate(&demand, 42);
        let (expected, wait) = (demand.requests(DAY), demand.longest_wait());
        let what = format!("{per_second} a second of {different}: {requests} requests, {longest:.0} s");
        assert!(
            (f64::from(requests) - expected).abs() < expected * 0.03,
            "{what}, not {expected:.0}"
        );
        // Random arrivals cause short queues, which the mean does not show.
        assert!(
            (longest - wait).abs() < (wait * 0.05).max(120.0),
            "{what}, not {wait:.0}"
        );
    }
}

/// The maximum of pods, and the connections of each to a database.
type Size = (u64, u64);

/// The size of each Deployment of the API server, and the maximum of connections of all of them to a server.
fn connections(objects: &Objects) -> (BTreeMap<String, Size>, BTreeMap<&'static str, u64>) {
    let mut real = BTreeMap::new();
    let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
    for pod in pods(objects)
        .iter()
        .filter(|pod| pod.container["name"] == "api-server")
    {
        let deployment = objects.get("Deployment", pod.name).unwrap();
        let most = objects.get("HorizontalPodAutoscaler", pod.name).map_or_else(
            |_| deployment["spec"]["replicas"].as_u64().unwrap(),
            |scaler| scaler["spec"]["maxReplicas"].as_u64().unwrap(),
        );
        let pool: u64 = pod.env()["DATABASE_MAX_CONNECTIONS"].parse().unwrap();
        let name = pod.name.strip_prefix("papers-arxiv-operator-").unwrap();
        real.insert(name.to_owned(), (most, pool));
        for store in pod.stores() {
            let (server, more) = match store.as_str() {
                "RO" => ("replicas", 0),
                "RW" => ("primary", 0),
                "UPSTREAM" => ("sequence", 1),
                _ => ("sequence", 0),
            };
            // One additional pod during an update.
            *taken.entry(server).or_default() += (pool + more) * (most + 1);
        }
    }
    (real, taken)
}

/// On one server all connections add up. Both pages state the sum.
#[test]
fn single_server_connections_equal_documented_sum() {
    let objects = render("").unwrap();
    let of_api: u64 = connections(&objects).1.values().sum();
    let operators = objects
        .get("Deployment", "papers-arxiv-operator-operator")
        .unwrap();
    // As in values.yaml for readWrite, the ledger and upstream.
    let of_operators = (operators["spec"]["replicas"].as_u64().unwrap() + 1) * (10 + 4 + 5);
    let all = of_api + of_operators;
    let (scaling, migrating) = (
        read("docs/scaling.md").unwrap(),
        read("docs/migrating.md").unwrap(),
    );
    assert!(scaling.contains(&format!("{all} connections here")), "{all}");
    let words = format!("{of_api} of API servers and {of_operators} of operators");
    assert!(migrating.contains(&words), "{words}");
    let (_, documented) = migrating.split_once("max_connections=").unwrap();
    let documented: String = documented.chars().take_while(char::is_ascii_digit).collect();
    // Three are reserved for superusers, and the existing service uses its own.
    assert!(
        documented.parse::<u64>().unwrap() >= all + 3 + 20,
        "{documented} for {all}"
    );
}

/// The pool sizes that the chart computes from the values on the page.
#[test]
fn scaling_page_has_computed_pool_sizes() {
    let page = read("docs/scaling.md").unwrap();
    let mut seen = 0;
    for section in page
        .split("\n## ")
        .filter(|section| section.contains("```yaml\n"))
    {
        let title = section.lines().next().unwrap();
        let (_, rest) = section.split_once("```yaml\n").unwrap();
        let (values, _) = rest.split_once("```").unwrap();
        let objects = render(values).unwrap();
        let (real, taken) = connections(&objects);
        let rows = table(section, "```yaml");
        let documented: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
        assert_eq!(documented, real.keys().cloned().collect(), "{title}");
        for row in rows {
            let (most, pool) = real[&row[0]];
            assert_eq!(
                row[1..],
                [most.to_string(), pool.to_string()],
                "{title}: {}",
                row[0]
            );
        }
        for (server, most) in taken {
            let words = format!("{most} to the {server}");
            assert!(section.contains(&words), "{title}: {words}");
        }
        seen += 1;
    }
    assert!(seen >= 2, "{seen} sections with values");
}
