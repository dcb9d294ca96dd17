package factory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// verdictPatience is for how long a step tries again what vCenter's own tasks
// failed at by something that passes.
const verdictPatience = 10 * time.Minute

// problem is why a Task failed, for people. As an error it is final.
type problem struct {
	code   string
	text   string // what went wrong and what can be done, in sentences
	detail string // vSphere's own words, for the operator
}

func (p problem) Error() string { return p.text }

// away says that the cloud can't be worked with for now, through no fault of
// the machine's.
func away(err error) bool {
	switch vsphere.CodeOf(err) {
	case vsphere.CodeUnreachable, vsphere.CodeTimeout, vsphere.CodeNotAuthenticated, vsphere.CodeInterrupted,
		vsphere.CodeBadCredentials, vsphere.CodeCertificate, vsphere.CodeWrongVCenter:
		return !vsphere.IsVerdict(err)
	default:
		return false
	}
}

// pause is what to say, and how long to wait, when it is worth coming again.
// false: it is not.
func (v *visit) pause(err error) (sentence string, d time.Duration, ok bool) {
	name := v.facts.cloud.Name
	switch code := vsphere.CodeOf(err); {
	case away(err):
		switch code {
		case vsphere.CodeNotAuthenticated, vsphere.CodeInterrupted:
			return "", time.Second, true
		case vsphere.CodeBadCredentials, vsphere.CodeCertificate, vsphere.CodeWrongVCenter:
			return name + " and the portal don't trust each other just now; your provider has to look at it. The task goes on by itself after that.", jobs.SnoozeMax, true
		default:
			return name + " does not answer; the task goes on by itself when it does.", jobs.SnoozeMax, true
		}
	case vsphere.IsTransient(err):
		started := v.steps[v.at].StartedAt
		if vsphere.IsVerdict(err) && started != nil && time.Since(*started) > verdictPatience {
			return "", 0, false
		}
		return name + " is busy with this machine; the task goes on by itself.", 2 * time.Second, true
	}
	return "", 0, false
}

// stumble decides what a step's error means for the Task.
func (v *visit) stumble(ctx context.Context, err error) error {
	var final problem
	_, fromVSphere := errors.AsType[*vsphere.Error](err)
	switch {
	case ctx.Err() != nil:
		return err // a stop, or time is up: the queue runs it again
	case errors.Is(err, errAgain):
		return jobs.Snooze(0)
	case errors.Is(err, errCancelled), v.task.State == models.TaskCancelling && vsphere.CodeOf(err) == vsphere.CodeCancelled:
		return v.settle(ctx, models.TaskCancelled)
	case errors.As(err, &final):
	case !fromVSphere:
		return err // the database, or a bug: logged, and run again
	default:
		if sentence, d, ok := v.pause(err); ok {
			if away(err) {
				v.client.suspected()
			}
			return v.rest(ctx, sentence, d)
		}
		final = v.explain(err)
	}
	return v.fail(ctx, final)
}

// explain puts a fault into words for the machine's owner.
func (v *visit) explain(err error) problem {
	name := v.facts.cloud.Name
	code := vsphere.CodeOf(err)
	var why string
	switch code {
	case vsphere.CodeNoCapacity:
		why = name + " has no room for it just now. Choose a smaller size or another cloud, or try again later."
	case vsphere.CodeNoPermission:
		why = name + " does not let the portal do this. Your provider has to look at it."
	case vsphere.CodeInvalidSpec:
		why = name + " does not take it as it is described; the template or the network may not fit. Ask your provider."
	case vsphere.CodeInvalidState:
		why = "the machine's state in " + name + " does not allow it. Look at the machine, then try again."
	case vsphere.CodeNotFound:
		why = name + " does not have something that this needs: the template, the network, or the machine itself. Ask your provider."
	case vsphere.CodeCancelled:
		why = "it was cancelled in " + name + " by other hands. Try again, or ask your provider."
	default:
		why = name + " reported an error. Try again; if it stays so, your provider can read the details."
	}
	detail := err.Error()
	if e, ok := errors.AsType[*vsphere.Error](err); ok && e.Text != "" {
		detail = e.Text
	}
	return problem{code: string(code), text: fmt.Sprintf("%s: %s", v.op.steps[v.at].failing, why), detail: detail}
}
