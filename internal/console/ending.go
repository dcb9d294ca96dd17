package console

import (
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// ending is how a socket ended: what the page is told by close code and text,
// and what the history keeps. The texts are fixed, so that none can carry an
// address.
type ending struct {
	code int // of the close frame to the browser; 0 sends none
	text string
}

var (
	// endClosed answers the page's own close frame.
	endClosed = ending{1000, "closed in the browser"}
	// The network's doing: nobody is left to be told.
	endLost  = ending{0, "browser lost"}
	endStuck = ending{0, "browser stopped reading"}

	endTicket      = ending{4401, "ticket unknown, used or expired"}
	endForbidden   = ending{4403, "not allowed any more"}
	endGone        = ending{4404, "machine gone"}
	endTakenOver   = ending{4408, "taken over"} // a notice before it says by whom
	endNotOn       = ending{4409, "machine not powered on"}
	endClosedBy    = ending{4410, "closed by an admin"} // a notice before it says by whom
	endOccupied    = ending{4423, "somebody else operates it"}
	endTooMany     = ending{4429, "too many"}
	endUnreachable = ending{4502, "hypervisor unreachable"}
	endUpstream    = ending{4503, "upstream lost"}
	endNodeDown    = ending{1012, "node going down"}
	// endResumed: the page itself has come back on another socket.
	endResumed = ending{1000, "resumed by a new connection"}
	// endInternal: the portal can't decide, most likely for want of its database.
	endInternal = ending{1011, "portal failed"}
	// endGibberish: a viewer's message whose length can't be told, behind which
	// input could hide.
	endGibberish = ending{1008, "message not understood"}
	endMalformed = ending{1002, "frame against the protocol"}
	endTooLong   = ending{1009, "message too long"}
)

// verdict says by what an open or opening console has to end, given who its
// user is now and how its machine is.
func verdict(role models.Role, state models.MachineState) (ending, bool) {
	if !role.May(models.ConsoleOpen) {
		return endForbidden, true
	}
	switch state {
	case models.MachineRunning:
		return ending{}, false
	case models.MachineBuilding, models.MachineStopped, models.MachineSuspended, models.MachineFailed:
		return endNotOn, true
	default: // deleting, deleted, missing, or not there at all
		return endGone, true
	}
}

// openEnding tells of a console that the database did not let open.
func openEnding(err error) ending {
	switch models.CodeOf(err) {
	case models.CodeQuota, models.CodeTooMany:
		return endTooMany
	case models.CodeConflict:
		return endOccupied
	case models.CodeNotFound:
		return endTicket
	default:
		return endInternal
	}
}

// screenEnding tells of a screen that vSphere did not give.
func screenEnding(err error) ending {
	switch vsphere.CodeOf(err) {
	case vsphere.CodeInvalidState:
		return endNotOn
	case vsphere.CodeNotFound:
		return endGone
	case vsphere.CodeBusy:
		return endTooMany
	default:
		return endUnreachable
	}
}
