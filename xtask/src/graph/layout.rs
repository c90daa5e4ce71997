//! Where boxes and arrows of a drawing stand. Pure and deterministic: the same graph, the same places.
//!
//! Boxes stand in columns, left to right in the order in which they need each other, and phases are lanes across all
//! columns; a deep graph is turned, so that columns become rows from top to bottom. In these words:
//!
//! 1. A box gets the first column behind everything that it needs, or one right before what needs it. What stands in
//!    no relation fills what is left. A column has no more boxes of a lane than look well.
//! 2. An arrow that passes columns gets a slot in each, so that it runs between boxes. Arrows from one box share them.
//! 3. Slots are ordered by what they are connected with, and then moved so that arrows are as straight as may be.
//!
//! Each step takes time in proportion to boxes and slots. There are more slots than boxes only if arrows pass many
//! columns; beyond [`MOST_SLOTS`] arrows run straight, behind boxes.

use std::collections::HashMap;
use std::ops::Range;

/// Width and height of a box.
pub const BOX: (i32, i32) = (208, 58);

/// From one column to the next: what arrows need to get from lane to lane.
const COLUMN_GAP: i32 = 60;

/// The same between rows.
const ROW_GAP: i32 = 40;

/// Between two boxes of a column.
const BOX_GAP: i32 = 14;

/// What an arrow takes that passes a column.
const ARROW: i32 = 12;

/// Between the border of a lane and what is in it.
const PADDING: i32 = 12;

/// What the title of a lane takes.
const TITLE: i32 = 24;

/// Between two lanes.
const LANE_GAP: i32 = 10;

/// How often slots are ordered by their neighbours.
const SWEEPS: usize = 8;

/// How many slots arrows may have before they run behind boxes.
const MOST_SLOTS: usize = 100_000;

/// A point.
pub type Point = (i32, i32);

/// A rectangle: where its corner is, its width and its height.
pub type Area = (Point, (i32, i32));

/// What is to be laid out.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// The lane of each box.
    pub lanes: &'a [usize],
    /// How many lanes there are. One alone has no border and no title.
    pub n_lanes: usize,
    /// From box to box.
    pub edges: &'a [(usize, usize)],
}

/// Where everything stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// Of the whole.
    pub size: (i32, i32),
    /// The corner of each box.
    pub boxes: Vec<Point>,
    /// Lanes; none if there is only one.
    pub lanes: Vec<Area>,
    /// What is drawn of the arrows that leave each box.
    pub arrows: Vec<Vec<Stroke>>,
    /// Rows from top to bottom in place of columns.
    pub is_down: bool,
    /// False if arrows that pass columns run behind boxes.
    pub is_routed: bool,
}

/// A part of an arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// From one column to the next: leaves and arrives along the direction of the drawing.
    Across(Point, Point),
    /// Through a column.
    Through(Point, Point),
    /// Against the direction, where boxes need each other; around below.
    Back(Point, Point),
}

/// What is no wider has room wherever it is shown.
const NARROW: i32 = 1100;

/// Lays out in the direction in which the drawing needs less room. Width counts more: pages are read downwards.
pub fn layout(shape: Shape<'_>) -> Layout {
    let across = Arrangement::new(shape, Direction::Across).place();
    let down = Arrangement::new(shape, Direction::Down).place();
    let cost = |layout: &Layout| layout.size.0.max(layout.size.1 * 3 / 4).max(NARROW);
    if cost(&down) < cost(&across) { down } else { across }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Across,
    Down,
}

impl Direction {
    /// Extent of a box along the direction.
    fn length(self) -> i32 {
        if self == Self::Across { BOX.0 } else { BOX.1 }
    }

    /// Extent of a box across it.
    fn breadth(self) -> i32 {
        if self == Self::Across { BOX.1 } else { BOX.0 }
    }

    /// From the start of a column to the start of the next.
    fn pitch(self) -> i32 {
        self.length() + if self == Self::Across { COLUMN_GAP } else { ROW_GAP }
    }

    /// The most boxes of a lane in a column: as many as give so many boxes the shape of a page.
    fn most(self, boxes: usize) -> usize {
        let (along, beside) = (f64::from(self.pitch()), f64::from(self.breadth() + BOX_GAP));
        let page = if self == Self::Across { 4.0 / 3.0 } else { 3.0 / 4.0 };
        let rows = (boxes as f64 * along / beside / page).sqrt();
        (rows as usize).max(if self == Self::Across { 10 } else { 4 })
    }

    /// From places along and beside the direction to places on the page.
    fn point(self, along: i32, beside: i32) -> Point {
        if self == Self::Across { (along, beside) } else { (beside, along) }
    }
}

/// What stands in a column.
#[derive(Debug, Clone, Copy)]
struct Slot {
    lane: usize,
    column: usize,
    /// The box; none if an arrow passes.
    node: Option<usize>,
    /// How much room it takes beside the direction.
    extent: i32,
    /// Where that room begins, from the beginning of the lane.
    start: f64,
    /// Its rank in the column.
    rank: usize,
}

impl Slot {
    /// From where its room begins to its middle: a box has a gap behind it.
    fn half(&self) -> f64 {
        f64::from(if self.node.is_some() { self.extent - BOX_GAP } else { self.extent }) / 2.0
    }
}

/// Columns, before they have places.
struct Arrangement<'a> {
    shape: Shape<'a>,
    direction: Direction,
    /// Boxes first, in their order, then passing arrows.
    slots: Vec<Slot>,
    /// Slots of each column in their order: lane by lane.
    columns: Vec<Vec<usize>>,
    /// From slot to slot, mostly of the next column, with the box that the arrow comes from.
    links: Vec<(usize, usize, usize)>,
    /// Arrows against the direction.
    back: Vec<(usize, usize)>,
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    is_routed: bool,
}

impl<'a> Arrangement<'a> {
    fn new(shape: Shape<'a>, direction: Direction) -> Self {
        let columns = columns(shape, direction);
        let slot = |(node, lane): (usize, &usize)| Slot {
            lane: *lane,
            column: columns[node],
            node: Some(node),
            extent: direction.breadth() + BOX_GAP,
            start: 0.0,
            rank: 0,
        };
        let mut out = Self {
            shape,
            direction,
            slots: shape.lanes.iter().enumerate().map(slot).collect(),
            columns: Vec::new(),
            links: Vec::new(),
            back: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            is_routed: true,
        };
        out.connect(&columns);
        let n = columns.iter().max().map_or(0, |last| last + 1);
        out.columns = vec![Vec::new(); n];
        for (i, slot) in out.slots.iter().enumerate() {
            out.columns[slot.column].push(i);
        }
        (out.before, out.after) = (vec![Vec::new(); out.slots.len()], vec![Vec::new(); out.slots.len()]);
        for (from, to, _) in &out.links {
            out.after[*from].push(*to);
            out.before[*to].push(*from);
        }
        out.order();
        out
    }

    /// Gives arrows slots in the columns that they pass, and connects slots.
    fn connect(&mut self, columns: &[usize]) {
        let mut targets: Vec<Vec<usize>> = vec![Vec::new(); columns.len()];
        for (from, to) in self.shape.edges {
            if columns[*from] < columns[*to] {
                targets[*from].push(*to);
            } else {
                self.back.push((*from, *to));
            }
        }
        let reach = |from: usize| targets[from].iter().map(|to| columns[*to]).max();
        let passed = (0..columns.len()).filter_map(|from| Some(reach(from)? - columns[from] - 1));
        self.is_routed = passed.sum::<usize>() <= MOST_SLOTS;
        for (from, all) in targets.iter().enumerate() {
            let mut path = vec![from];
            for column in columns[from] + 1..reach(from).unwrap_or_default() {
                if self.is_routed {
                    let slot = self.slots.len();
                    let (lane, extent) = (self.shape.lanes[from], ARROW);
                    self.slots.push(Slot { lane, column, node: None, extent, start: 0.0, rank: 0 });
                    self.links.extend(path.last().map(|last| (*last, slot, from)));
                    path.push(slot);
                }
            }
            for to in all {
                let last = if self.is_routed { columns[*to] - columns[from] - 1 } else { 0 };
                self.links.push((path[last], *to, from));
            }
        }
    }

    /// Orders each column by the lane and by where neighbours stand, back and forth.
    fn order(&mut self) {
        for column in &mut self.columns {
            column.sort_by_key(|i| (self.slots[*i].lane, *i));
        }
        self.rank();
        for sweep in 0..SWEEPS {
            let is_forth = sweep % 2 == 0;
            for at in 0..self.columns.len() {
                let c = if is_forth { at } else { self.columns.len() - 1 - at };
                let mut column = std::mem::take(&mut self.columns[c]);
                let mut keyed: Vec<(usize, f64, usize)> =
                    column.iter().map(|i| (self.slots[*i].lane, self.centre(*i, is_forth), *i)).collect();
                keyed.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
                column.clear();
                column.extend(keyed.iter().map(|(_, _, i)| *i));
                for (rank, i) in column.iter().enumerate() {
                    self.slots[*i].rank = rank;
                }
                self.columns[c] = column;
            }
        }
    }

    fn rank(&mut self) {
        for column in &self.columns {
            for (rank, i) in column.iter().enumerate() {
                self.slots[*i].rank = rank;
            }
        }
    }

    /// The mean of where neighbours stand in their columns, from 0 to 1; where there are none, where it stands itself.
    fn centre(&self, slot: usize, is_forth: bool) -> f64 {
        let place = |i: usize| {
            let s = &self.slots[i];
            (s.rank as f64 + 0.5) / self.columns[s.column].len().max(s.rank + 1) as f64
        };
        let around = if is_forth { &self.before[slot] } else { &self.after[slot] };
        match around.len() {
            0 => place(slot),
            n => around.iter().map(|i| place(*i)).sum::<f64>() / n as f64,
        }
    }

    fn place(mut self) -> Layout {
        let breadths = self.breadths();
        self.straighten(&breadths);
        self.draw(&breadths)
    }

    /// Runs of slots of the same lane in a column.
    fn cells(&self, column: usize) -> Vec<Range<usize>> {
        let lane = |at: usize| self.slots[self.columns[column][at]].lane;
        let mut out: Vec<Range<usize>> = Vec::new();
        for at in 0..self.columns[column].len() {
            match out.last_mut() {
                Some(cell) if lane(cell.start) == lane(at) => cell.end = at + 1,
                _ => out.push(at..at + 1),
            }
        }
        out
    }

    /// How much room each lane needs: that of its fullest column.
    fn breadths(&self) -> Vec<i32> {
        let mut out = vec![BOX_GAP; self.shape.n_lanes];
        for column in 0..self.columns.len() {
            for cell in self.cells(column) {
                let slots = &self.columns[column][cell];
                let lane = &mut out[self.slots[slots[0]].lane];
                *lane = slots.iter().map(|i| self.slots[*i].extent).sum::<i32>().max(*lane);
            }
        }
        out
    }

    /// Moves slots to where their neighbours of the same lane are, as far as their order and the lane allow.
    fn straighten(&mut self, breadths: &[i32]) {
        let n = self.columns.len();
        for pass in 0..4 {
            for at in 0..n {
                let column = if pass % 2 == 0 { at } else { n - 1 - at };
                for cell in self.cells(column) {
                    let slots = self.columns[column][cell].to_vec();
                    let wanted = slots.iter().map(|i| match pass {
                        0 if self.before[*i].is_empty() => None,
                        _ => self.beside(*i, pass % 2 == 0),
                    });
                    let mut ahead = 0.0;
                    // How far each would stand from where all that is before it ends.
                    let mut wishes = Vec::with_capacity(slots.len());
                    for (i, wanted) in slots.iter().zip(wanted) {
                        let start = if pass == 0 { ahead } else { self.slots[*i].start };
                        wishes.push(wanted.unwrap_or(start) - ahead);
                        ahead += f64::from(self.slots[*i].extent);
                    }
                    let room = f64::from(breadths[self.slots[slots[0]].lane]) - ahead;
                    let mut ahead = 0.0;
                    for (i, shift) in slots.iter().zip(rising(&wishes)) {
                        self.slots[*i].start = ahead + shift.clamp(0.0, room);
                        ahead += f64::from(self.slots[*i].extent);
                    }
                }
            }
        }
    }

    /// Where a slot would begin if it stood as its neighbours of the same lane do.
    fn beside(&self, slot: usize, is_forth: bool) -> Option<f64> {
        let around = if is_forth { &self.before[slot] } else { &self.after[slot] };
        let lane = self.slots[slot].lane;
        let same = || around.iter().map(|i| &self.slots[*i]).filter(|s| s.lane == lane);
        let n = same().count();
        let centre = same().map(|s| s.start + s.half()).sum::<f64>() / n as f64;
        (n > 0).then_some(centre - self.slots[slot].half())
    }

    fn draw(&self, breadths: &[i32]) -> Layout {
        let d = self.direction;
        let bordered = self.shape.n_lanes > 1;
        let (padding, title) = if bordered { (PADDING, TITLE) } else { (0, 0) };
        // A title stands at the beginning of a lane: beside what is in it if columns run across, else before it.
        let (head, above) = if d == Direction::Across { (0, title) } else { (title, 0) };
        let mut starts = Vec::new();
        let mut beside = 0;
        for breadth in breadths {
            starts.push(beside + padding + above);
            // The last box of a column has no gap behind it.
            beside += breadth - BOX_GAP + 2 * padding + above + LANE_GAP;
        }
        let along = |column: usize| head + padding + column as i32 * d.pitch();
        let length = match self.columns.len() {
            0 => 0,
            n => along(n - 1) + d.length() + padding,
        };
        let centre = |slot: usize| {
            let s = &self.slots[slot];
            starts[s.lane] + (s.start + s.half()).round() as i32
        };
        let mut lanes = Vec::new();
        for (start, breadth) in starts.iter().zip(breadths).filter(|_| bordered) {
            let corner = d.point(0, start - padding - above);
            lanes.push((corner, d.point(length, breadth - BOX_GAP + 2 * padding + above)));
        }
        let boxes: Vec<Point> = (0..self.shape.lanes.len())
            .map(|i| d.point(along(self.slots[i].column), centre(i) - d.breadth() / 2))
            .collect();
        let mut arrows: Vec<Vec<Stroke>> = vec![Vec::new(); boxes.len()];
        for (from, to, source) in &self.links {
            let [start, end] = [*from, *to].map(|i| along(self.slots[i].column));
            let leaves = d.point(start + d.length(), centre(*from));
            arrows[*source].push(Stroke::Across(leaves, d.point(end, centre(*to))));
            if self.slots[*to].node.is_none() {
                let through = d.point(end + d.length(), centre(*to));
                arrows[*source].push(Stroke::Through(d.point(end, centre(*to)), through));
            }
        }
        let below = |i: usize| {
            let far = starts[self.slots[i].lane] + self.slots[i].start.round() as i32 + d.breadth();
            d.point(along(self.slots[i].column) + d.length() / 2, far)
        };
        for (from, to) in &self.back {
            arrows[*from].push(Stroke::Back(below(*from), below(*to)));
        }
        let room = if self.back.is_empty() { 0 } else { BACK };
        let size = d.point(length, (beside - LANE_GAP).max(0) + room);
        Layout { size, boxes, lanes, arrows, is_down: d == Direction::Down, is_routed: self.is_routed }
    }
}

/// How far arrows against the direction bulge.
pub const BACK: i32 = 36;

/// The column of each box.
fn columns(shape: Shape<'_>, direction: Direction) -> Vec<usize> {
    let n = shape.lanes.len();
    let (mut before, mut after) = (vec![Vec::new(); n], vec![Vec::new(); n]);
    let order = order(n, shape.edges);
    let mut position = vec![0; n];
    for (at, i) in order.iter().enumerate() {
        position[*i] = at;
    }
    // What goes against the order is part of a circle.
    for (from, to) in shape.edges.iter().filter(|(from, to)| position[*from] < position[*to]) {
        after[*from].push(*to);
        before[*to].push(*from);
    }
    let mut level = vec![0_usize; n];
    for i in &order {
        level[*i] = before[*i].iter().map(|b| level[*b] + 1).max().unwrap_or_default();
    }
    // What needs less than needs it stands right before the first of these: its arrows become shorter.
    for i in order.iter().rev() {
        if after[*i].len() > before[*i].len() {
            level[*i] = after[*i].iter().map(|a| level[*a] - 1).min().unwrap_or(level[*i]);
        }
    }
    let mut size = vec![0; shape.n_lanes];
    shape.lanes.iter().for_each(|lane| size[*lane] += 1);
    let most: Vec<usize> = size.iter().map(|boxes| direction.most(*boxes)).collect();
    let mut taken: HashMap<(usize, usize), usize> = HashMap::new();
    let is_alone = |i: &usize| before[*i].is_empty() && after[*i].is_empty();
    let (alone, mut sequence): (Vec<usize>, Vec<usize>) = (0..n).partition(is_alone);
    sequence.sort_by_key(|i| (level[*i], position[*i]));
    let mut column = vec![0; n];
    for i in sequence {
        let lane = shape.lanes[i];
        let behind = before[i].iter().map(|b| column[*b] + 1).max().unwrap_or_default();
        let mut at = behind.max(level[i]);
        while taken.get(&(lane, at)).is_some_and(|n| *n >= most[lane]) {
            at += 1;
        }
        *taken.entry((lane, at)).or_default() += 1;
        column[i] = at;
    }
    // What stands alone fills the columns that there are, or as many as look well.
    let mut n_alone = vec![0_usize; shape.n_lanes];
    alone.iter().for_each(|i| n_alone[shape.lanes[*i]] += 1);
    let needed = n_alone.iter().zip(&most).map(|(n, most)| n.div_ceil(*most)).max().unwrap_or_default();
    let width = column.iter().max().map_or(0, |last| last + 1).max(needed);
    for i in alone {
        let lane = shape.lanes[i];
        let fullness = |at: &usize| taken.get(&(lane, *at)).copied().unwrap_or_default();
        let at = (0..width).min_by_key(fullness).unwrap_or_default();
        *taken.entry((lane, at)).or_default() += 1;
        column[i] = at;
    }
    column
}

/// All boxes, each behind what it comes from. Of a circle the first box goes first.
fn order(n: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut after = vec![Vec::new(); n];
    let mut open = vec![0_usize; n];
    for (from, to) in edges {
        after[*from].push(*to);
        open[*to] += 1;
    }
    let mut out = Vec::with_capacity(n);
    let mut taken = vec![false; n];
    let mut next = 0;
    let mut free: std::collections::VecDeque<usize> = (0..n).filter(|i| open[*i] == 0).collect();
    while out.len() < n {
        let i = free.pop_front().unwrap_or_else(|| {
            while taken[next] {
                next += 1;
            }
            next
        });
        if std::mem::replace(&mut taken[i], true) {
            continue;
        }
        out.push(i);
        for to in &after[i] {
            open[*to] -= 1;
            if open[*to] == 0 && !taken[*to] {
                free.push_back(*to);
            }
        }
    }
    out
}

/// The numbers nearest to these (by the sum of squares) of which none is smaller than the one before it.
fn rising(wishes: &[f64]) -> Vec<f64> {
    // Neighbours that would fall get their mean: sum and count.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for wish in wishes {
        let mut pool = (*wish, 1);
        while let Some(last) = pools.last().filter(|last| last.0 / last.1 as f64 > pool.0 / pool.1 as f64) {
            pool = (pool.0 + last.0, pool.1 + last.1);
            pools.pop();
        }
        pools.push(pool);
    }
    pools.iter().flat_map(|(sum, n)| std::iter::repeat_n(sum / *n as f64, *n)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn overlap(a: Point, b: Point) -> bool {
        (a.0 - b.0).abs() < BOX.0 && (a.1 - b.1).abs() < BOX.1
    }

    /// Boxes and lanes inside, boxes apart, arrows between boxes.
    fn holds(shape: Shape<'_>, layout: &Layout) {
        assert_eq!(layout.boxes.len(), shape.lanes.len());
        for (i, at) in layout.boxes.iter().enumerate() {
            assert!(at.0 >= 0 && at.1 >= 0, "{at:?}");
            assert!(at.0 + BOX.0 <= layout.size.0 && at.1 + BOX.1 <= layout.size.1, "{at:?}");
            assert!(layout.boxes[..i].iter().all(|other| !overlap(*at, *other)), "box {i}");
            if let Some((corner, size)) = layout.lanes.get(shape.lanes[i]) {
                assert!(corner.0 < at.0 && corner.1 < at.1, "box {i} is not in its lane");
                assert!(at.0 + BOX.0 < corner.0 + size.0 && at.1 + BOX.1 < corner.1 + size.1, "box {i}");
            }
        }
        for stroke in layout.arrows.iter().flatten().filter(|_| layout.is_routed) {
            if let Stroke::Through(from, to) = stroke {
                let hit = |b: &&Point| {
                    from.0.max(to.0) > b.0
                        && from.0.min(to.0) < b.0 + BOX.0
                        && from.1.max(to.1) > b.1
                        && from.1.min(to.1) < b.1 + BOX.1
                };
                assert_eq!(layout.boxes.iter().find(hit), None, "an arrow runs through a box");
            }
        }
    }

    #[test]
    fn a_chain_is_a_straight_line_down_the_page() {
        let edges: Vec<(usize, usize)> = (1..60).map(|i| (i - 1, i)).collect();
        let shape = Shape { lanes: &[0; 60], n_lanes: 1, edges: &edges };
        let layout = layout(shape);
        holds(shape, &layout);
        assert!(layout.is_down);
        assert!(layout.boxes.iter().all(|at| at.0 == 0));
        let short: Vec<(usize, usize)> = edges[..3].to_vec();
        assert!(!super::layout(Shape { lanes: &[0; 4], n_lanes: 1, edges: &short }).is_down);
    }

    #[test]
    fn tasks_that_do_not_need_each_other_fill_a_page() {
        let shape = Shape { lanes: &[0; 200], n_lanes: 1, edges: &[] };
        let layout = layout(shape);
        holds(shape, &layout);
        let (width, height) = (f64::from(layout.size.0), f64::from(layout.size.1));
        assert!((0.6..2.5).contains(&(width / height)), "{:?}", layout.size);
    }

    #[test]
    fn what_is_needed_late_stands_right_before_it() {
        // 0 -> 1 -> 2 -> 3, and 4 -> 3.
        let edges = [(0, 1), (1, 2), (2, 3), (4, 3)];
        let shape = Shape { lanes: &[0; 5], n_lanes: 1, edges: &edges };
        assert_eq!(columns(shape, Direction::Across), [0, 1, 2, 3, 2]);
    }

    #[test]
    fn an_arrow_that_passes_a_column_has_room_in_it() {
        let edges = [(0, 1), (1, 2), (0, 2)];
        let shape = Shape { lanes: &[0; 3], n_lanes: 1, edges: &edges };
        let layout = layout(shape);
        holds(shape, &layout);
        assert!(layout.arrows[0].iter().any(|stroke| matches!(stroke, Stroke::Through(..))));
    }

    #[test]
    fn boxes_in_a_circle_are_laid_out_too() {
        let edges = [(0, 1), (1, 2), (2, 0)];
        let shape = Shape { lanes: &[0; 3], n_lanes: 1, edges: &edges };
        let layout = layout(shape);
        holds(shape, &layout);
        assert_eq!(layout.arrows[2].len(), 1);
        assert!(matches!(layout.arrows[2][0], Stroke::Back(..)));
    }

    #[test]
    fn nothing_and_one_box() {
        let none = Shape { lanes: &[], n_lanes: 0, edges: &[] };
        assert_eq!(layout(none).size, (0, 0));
        let one = Shape { lanes: &[0], n_lanes: 1, edges: &[] };
        assert_eq!((layout(one).size, layout(one).boxes), (BOX, vec![(0, 0)]));
    }

    #[test]
    fn as_near_as_a_rising_sequence_can_be() {
        assert_eq!(rising(&[1.0, 2.0, 5.0]), [1.0, 2.0, 5.0]);
        assert_eq!(rising(&[4.0, 2.0, 0.0, 7.0]), [2.0, 2.0, 2.0, 7.0]);
        assert_eq!(rising(&[]), [0.0; 0]);
    }

    /// Ten thousand tasks: each needs up to three of those before it.
    #[test]
    fn much_is_laid_out_at_once() {
        let n = 10_000;
        let lanes: Vec<usize> = (0..n).map(|i| i * 20 / n).collect();
        let edges: Vec<(usize, usize)> = (1..n)
            .flat_map(|i| [(i.saturating_sub(i % 97 + 1), i), (i.saturating_sub(i % 13 + 1), i), (i / 2, i)])
            .filter(|(from, to)| from < to)
            .collect();
        let shape = Shape { lanes: &lanes, n_lanes: 20, edges: &edges };
        let began = std::time::Instant::now();
        let layout = layout(shape);
        let took = began.elapsed();
        assert_eq!(layout.boxes.len(), n);
        assert!(took.as_secs() < 5, "it took {took:?}");
    }

    proptest! {
        #[test]
        fn any_graph_is_laid_out_without_overlaps(
            lanes in proptest::collection::vec(0_usize..4, 1..40),
            edges in proptest::collection::vec((0_usize..40, 0_usize..40), 0..80),
        ) {
            let n = lanes.len();
            let edges: Vec<(usize, usize)> =
                edges.into_iter().map(|(a, b)| (a % n, b % n)).filter(|(a, b)| a != b).collect();
            let shape = Shape { lanes: &lanes, n_lanes: 4, edges: &edges };
            for direction in [Direction::Across, Direction::Down] {
                holds(shape, &Arrangement::new(shape, direction).place());
            }
            prop_assert_eq!(layout(shape), layout(shape));
        }
    }
}
