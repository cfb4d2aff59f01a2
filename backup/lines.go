package backup

import "bytes"

// change is one place where two texts differ: lines a[aFrom:aTo] gave way to
// lines b[bFrom:bTo]. One of the two ranges may be empty, never both.
type change struct{ aFrom, aTo, bFrom, bTo int }

// splitLines cuts text after each line end. The last line may lack one; it then
// differs from the same line with one, as it does for patch(1).
func splitLines(text []byte) [][]byte {
	lines := make([][]byte, 0, bytes.Count(text, []byte{'\n'})+1)
	for len(text) > 0 {
		n := bytes.IndexByte(text, '\n') + 1
		if n == 0 {
			n = len(text)
		}
		lines = append(lines, text[:n])
		text = text[n:]
	}
	return lines
}

// diffLines finds the changes that make a into b, in order: a shortest script
// up to a bound on the work, beyond which it may be longer and is still right.
//
// Lines become numbers, the common head and tail are cut off, lines that only
// one side has are set aside (no common subsequence can hold them), and the rest
// goes through Myers' linear-space algorithm (An O(ND) Difference Algorithm and
// Its Variations, 1986, §4b).
func diffLines(a, b [][]byte) []change {
	ids := make(map[string]int32, len(a))
	number := func(lines [][]byte) []int32 {
		out := make([]int32, len(lines))
		for i, l := range lines {
			id, ok := ids[string(l)]
			if !ok {
				id = int32(len(ids))
				ids[string(l)] = id
			}
			out[i] = id
		}
		return out
	}
	na, nb := number(a), number(b)

	head := 0
	for head < len(na) && head < len(nb) && na[head] == nb[head] {
		head++
	}
	endA, endB := len(na), len(nb)
	for endA > head && endB > head && na[endA-1] == nb[endB-1] {
		endA--
		endB--
	}

	goneA, goneB := make([]bool, len(na)), make([]bool, len(nb))
	inA, inB := make([]bool, len(ids)), make([]bool, len(ids))
	for _, id := range na[head:endA] {
		inA[id] = true
	}
	for _, id := range nb[head:endB] {
		inB[id] = true
	}
	restA, whereA := setAside(na, head, endA, inB, goneA)
	restB, whereB := setAside(nb, head, endB, inA, goneB)

	n := len(restA) + len(restB)
	m := myers{
		a: restA, b: restB, whereA: whereA, whereB: whereB, goneA: goneA, goneB: goneB,
		forward: make([]int, n+3), backward: make([]int, n+3), shift: len(restB) + 1,
		bound: workBound(n),
	}
	m.compare(0, len(restA), 0, len(restB))
	return slide(changes(goneA, goneB), na, nb, a, b)
}

// setAside copies the lines of ids[from:to] that the other side has too, with
// their places, and marks the others as gone.
func setAside(ids []int32, from, to int, other, gone []bool) (rest []int32, where []int) {
	for i := from; i < to; i++ {
		if other[ids[i]] {
			rest, where = append(rest, ids[i]), append(where, i)
		} else {
			gone[i] = true
		}
	}
	return rest, where
}

// workBound limits how many differences one search for a middle may pass: texts
// of some ten thousand lines are compared exactly, millions of lines that have
// little in common still end in seconds.
func workBound(lines int) int {
	return min(4096, max(256, (1<<28)/(lines+1)))
}

// myers holds two sequences of line numbers while they are compared.
type myers struct {
	a, b              []int32
	whereA, whereB    []int // place of each in the whole text
	goneA, goneB      []bool
	forward, backward []int // furthest a reached on each diagonal, index x−y+shift
	shift, bound      int
}

// compare marks what is gone from a[a0:a1] and what is new in b[b0:b1].
func (m *myers) compare(a0, a1, b0, b1 int) {
	for {
		for a0 < a1 && b0 < b1 && m.a[a0] == m.b[b0] {
			a0++
			b0++
		}
		for a0 < a1 && b0 < b1 && m.a[a1-1] == m.b[b1-1] {
			a1--
			b1--
		}
		switch {
		case a0 == a1:
			for ; b0 < b1; b0++ {
				m.goneB[m.whereB[b0]] = true
			}
			return
		case b0 == b1:
			for ; a0 < a1; a0++ {
				m.goneA[m.whereA[a0]] = true
			}
			return
		}
		x, y := m.middle(a0, a1, b0, b1)
		if (x == a0 && y == b0) || (x == a1 && y == b1) { // no progress: give the part up, which is right if not short
			for ; a0 < a1; a0++ {
				m.goneA[m.whereA[a0]] = true
			}
			for ; b0 < b1; b0++ {
				m.goneB[m.whereB[b0]] = true
			}
			return
		}
		// The smaller half by recursion, so that the stack stays logarithmic.
		if x-a0+y-b0 < a1-x+b1-y {
			m.compare(a0, x, b0, y)
			a0, b0 = x, y
		} else {
			m.compare(x, a1, y, b1)
			a1, b1 = x, y
		}
	}
}

// middle finds a point of a shortest path from (a0,b0) to (a1,b1) by searching
// from both ends. Where the search passes more than bound differences it takes
// the point that got furthest.
func (m *myers) middle(a0, a1, b0, b1 int) (x, y int) {
	const unseen = -1
	f, r := m.forward, m.backward
	low, high := a0-b1, a1-b0 // diagonals that exist
	fmid, rmid := a0-b0, a1-b1
	fmin, fmax, rmin, rmax := fmid, fmid, rmid, rmid
	odd := (fmid-rmid)&1 != 0
	at := func(k int) int { return k + m.shift }
	f[at(fmid)], r[at(rmid)] = a0, a1

	for cost := 1; ; cost++ {
		if fmin > low {
			fmin--
			f[at(fmin-1)] = unseen
		} else {
			fmin++
		}
		if fmax < high {
			fmax++
			f[at(fmax+1)] = unseen
		} else {
			fmax--
		}
		for k := fmax; k >= fmin; k -= 2 {
			lo, hi := f[at(k-1)], f[at(k+1)]
			x := hi
			if lo >= hi {
				x = lo + 1
			}
			for y := x - k; x < a1 && y < b1 && m.a[x] == m.b[y]; x, y = x+1, y+1 {
			}
			f[at(k)] = x
			if odd && rmin <= k && k <= rmax && r[at(k)] <= x {
				return x, x - k
			}
		}

		if rmin > low {
			rmin--
			r[at(rmin-1)] = a1 + 1
		} else {
			rmin++
		}
		if rmax < high {
			rmax++
			r[at(rmax+1)] = a1 + 1
		} else {
			rmax--
		}
		for k := rmax; k >= rmin; k -= 2 {
			lo, hi := r[at(k-1)], r[at(k+1)]
			x := lo
			if lo >= hi {
				x = hi - 1
			}
			for y := x - k; x > a0 && y > b0 && m.a[x-1] == m.b[y-1]; x, y = x-1, y-1 {
			}
			r[at(k)] = x
			if !odd && fmin <= k && k <= fmax && x <= f[at(k)] {
				return x, x - k
			}
		}

		if cost >= m.bound {
			return m.furthest(a0, a1, b0, b1, fmin, fmax, rmin, rmax)
		}
	}
}

// furthest is the point that a search which is given up got to, from the end
// that got further.
func (m *myers) furthest(a0, a1, b0, b1, fmin, fmax, rmin, rmax int) (x, y int) {
	best, fx := -1, a0
	for k := fmax; k >= fmin; k -= 2 {
		x := min(m.forward[k+m.shift], a1)
		y := x - k
		if y > b1 {
			x, y = b1+k, b1
		}
		if x+y > best {
			best, fx = x+y, x
		}
	}
	least, rx := a1+b1+1, a1
	for k := rmax; k >= rmin; k -= 2 {
		x := max(m.backward[k+m.shift], a0)
		y := x - k
		if y < b0 {
			x, y = b0+k, b0
		}
		if x+y < least {
			least, rx = x+y, x
		}
	}
	if a1+b1-least < best-(a0+b0) {
		return fx, best - fx
	}
	return rx, least - rx
}

// changes turns marks into ranges.
func changes(goneA, goneB []bool) []change {
	var out []change
	for i, j := 0, 0; i < len(goneA) || j < len(goneB); {
		c := change{aFrom: i, bFrom: j}
		for i < len(goneA) && goneA[i] {
			i++
		}
		for j < len(goneB) && goneB[j] {
			j++
		}
		if c.aTo, c.bTo = i, j; c.aFrom != c.aTo || c.bFrom != c.bTo {
			out = append(out, c)
			continue
		}
		i++
		j++
	}
	return out
}

// slide moves runs of only added or only removed lines, which often fit in
// several places, to where they begin at a block's head: the least indented line
// that is no comment sign or closing word, the last such place where several are
// equal. A person then sees "+interface Gi1/0/9 …" and not "+ shutdown, !, …".
func slide(cs []change, na, nb []int32, a, b [][]byte) []change {
	for i := range cs {
		c := &cs[i]
		ids, lines, from, to := nb, b, &c.bFrom, &c.bTo
		if c.bFrom == c.bTo {
			ids, lines, from, to = na, a, &c.aFrom, &c.aTo
		} else if c.aFrom != c.aTo {
			continue
		}
		up, down := 0, 0
		floor, ceiling := 0, len(ids)
		if i > 0 { // one unchanged line stays between two changes
			floor = cs[i-1].bTo + 1
			if from == &c.aFrom {
				floor = cs[i-1].aTo + 1
			}
		}
		if i+1 < len(cs) {
			ceiling = cs[i+1].bFrom - 1
			if from == &c.aFrom {
				ceiling = cs[i+1].aFrom - 1
			}
		}
		for *from-up > floor && ids[*from-up-1] == ids[*to-up-1] {
			up++
		}
		for *to+down < ceiling && ids[*from+down] == ids[*to+down] {
			down++
		}
		best, least := 0, int(^uint(0)>>1)
		for s := -up; s <= down; s++ {
			if w := headness(lines[*from+s]); w <= least {
				best, least = s, w
			}
		}
		c.aFrom, c.aTo, c.bFrom, c.bTo = c.aFrom+best, c.aTo+best, c.bFrom+best, c.bTo+best
	}
	return cs
}

// headness is small for a line that may begin a block.
func headness(line []byte) int {
	t := bytes.TrimSpace(line)
	indent := len(line) - len(bytes.TrimLeft(line, " \t"))
	switch string(t) {
	case "", "!", "#", "}", "exit", "next", "end", "exit-address-family":
		return 1000 + indent
	}
	return indent
}
