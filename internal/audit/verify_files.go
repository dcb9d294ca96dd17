package audit

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millwright/millwright/models"
)

// VerifyExports checks segments and an export together, in whatever order they
// are given: each has to begin where the one before it ends. What the report
// says is of all of them.
func VerifyExports(files []io.ReadSeeker, key PublicKey, outside io.Reader) (Report, error) {
	if len(files) == 1 {
		return VerifyExport(files[0], key, outside)
	}
	type part struct {
		file io.ReadSeeker
		head header
	}
	parts := make([]part, len(files))
	var checkpoints []models.AuditCheckpoint
	for i, file := range files {
		head, found, err := survey(file)
		if err != nil {
			return Report{NeedsCheckpoint: true}, err
		}
		if !head.Complete {
			return Report{NeedsCheckpoint: true}, errors.New("a filtered export can't be verified together with others")
		}
		if i > 0 && head.Org != parts[0].head.Org {
			return Report{NeedsCheckpoint: true}, fmt.Errorf("these are of different orgs: %s and %s", parts[0].head.Org, head.Org)
		}
		parts[i] = part{file, head}
		checkpoints = append(checkpoints, found...)
	}
	slices.SortStableFunc(parts, func(a, b part) int { return int(min(max(a.head.begins()-b.head.begins(), -1), 1)) })
	more, err := outsideOf(outside, parts[0].head.Org)
	if err != nil {
		return Report{NeedsCheckpoint: true}, err
	}
	all := Report{NeedsCheckpoint: true, Org: parts[0].head.Org}
	for i, p := range parts {
		if i+1 < len(parts) && parts[i+1].head.begins() == p.head.begins() {
			all.Fault = &Fault{Kind: Added, Sequence: p.head.begins() + 1, Detail: "Two of these files begin with it"}
			return all, nil
		}
		if i > 0 && p.head.begins() != all.Sealed {
			all.Fault = gap(all.Sealed, p.head.begins())
			return all, nil
		}
		last := i == len(parts)-1
		known := slices.DeleteFunc(slices.Concat(checkpoints, more), func(c models.AuditCheckpoint) bool {
			// A part has to have what was signed up to its own end.
			return !last && c.Sequence > parts[i+1].head.begins()
		})
		report, err := verifyFile(p.file, p.head, key, known)
		if err != nil {
			return report, err
		}
		if i > 0 {
			report.From = all.From
		}
		if all = report; !report.Intact() {
			return all, nil
		}
		if !last && report.Unsealed > 0 {
			all.Fault = &Fault{Kind: Unread, Sequence: report.Sealed + 1, Detail: "A part that isn't the last has events without a seal"}
			return all, nil
		}
	}
	return all, nil
}

func gap(ended, begins int64) *Fault {
	if begins > ended {
		return &Fault{Kind: Removed, Sequence: ended + 1, Detail: fmt.Sprintf("None of these files has the events %d to %d", ended+1, begins)}
	}
	return &Fault{Kind: Added, Sequence: begins + 1, Detail: fmt.Sprintf("Two of these files have the events %d to %d", begins+1, ended)}
}

func outsideOf(outside io.Reader, org models.OrgID) (list []models.AuditCheckpoint, err error) {
	if outside == nil {
		return nil, nil
	}
	err = eachCheckpoint(outside, func(c models.AuditCheckpoint) {
		if c.OrgID == org {
			list = append(list, c)
		}
	})
	if err != nil {
		err = fmt.Errorf("read the checkpoints: %w", err)
	}
	return list, err
}

// begins is the place behind which the export begins.
func (h header) begins() int64 {
	if h.After == nil {
		return 0
	}
	return h.After.Sequence
}

// verifyFile walks over one export. It begins at the first event, or behind a
// checkpoint that the key has to have signed.
func verifyFile(file io.Reader, head header, key PublicKey, checkpoints []models.AuditCheckpoint) (Report, error) {
	report := Report{NeedsCheckpoint: true}
	ours, others, forged := key.sift(head.Org, checkpoints)
	v := &exportReader{walker: newWalker(head.Org, ours), partial: !head.Complete}
	if after := head.After; after != nil {
		if after.OrgID != head.Org || !key.signed(*after) {
			report.Org = head.Org
			report.Fault = &Fault{Kind: Forged, Sequence: max(after.Sequence, 1), Detail: "The export begins behind it, and the checkpoint for it was not signed by this key"}
			return report, nil
		}
		v.from(*after)
		if report.Fault = v.check(); report.Fault != nil { // another checkpoint for the same place
			v.report(&report)
			return report, nil
		}
	}
	report.From = v.sequence + 1
	fault, err := v.read(file)
	report.OtherKeys, report.Fault, report.Partial = others, fault, !head.Complete
	v.report(&report)
	report.Unsealed, report.Cut = v.tail, v.foot == nil
	if report.Fault == nil && !report.Partial && !report.Cut {
		report.Fault = v.end()
	}
	if report.Fault == nil {
		report.Fault = forged
	}
	return report, err
}
