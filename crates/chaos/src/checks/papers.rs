//! A paper's metadata is stored with its results: in the same transaction, so never one without the other.

use super::{Findings, Kind};
use crate::history::History;

pub(super) fn check(history: &History, findings: &mut Findings) {
    for paper in &history.half_papers {
        let id = &paper.id;
        if paper.is_result {
            findings.add(
                Kind::Lost,
                format!("{id} is a result and has no row in arxiv_papers"),
            );
        } else if !history.split {
            // Where the tables are on two servers, results whose query never came are swept.
            findings.add(Kind::Wrong, format!("{id} is in arxiv_papers and is no result"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        Kind,
        example::{accepts, finds},
    };
    use crate::history::{HalfPaper, History};

    fn half(is_result: bool) -> impl Fn(&mut History) {
        move |history| {
            history.half_papers.push(HalfPaper {
                id: "2405.00001v1".into(),
                is_result,
            });
        }
    }

    #[test]
    fn result_without_its_paper_is_lost_and_paper_without_a_result_is_wrong() {
        finds("a result", half(true), Kind::Lost, "no row in arxiv_papers");
        finds("a paper", half(false), Kind::Wrong, "is no result");
        accepts("a swept result", |history| {
            half(false)(history);
            history.split = true;
        });
    }
}
