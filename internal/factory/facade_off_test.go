package factory

import (
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Whoever switches a service off and stops its machines wants no new ones.
func TestPolicyRestsWhileItsServiceIsOff(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		r := newFacadeRig(t, db, 2, nil)
		turn := func(on bool) {
			t.Helper()
			r.within(func(w *models.Writer) error {
				s := r.service
				s.Enabled = on
				old, err := w.Service(s.ID)
				if err != nil {
					return err
				}
				return w.ChangeService(s, models.ServiceEndpoint{PublicIPID: old.PublicIPID, Port: old.Port})
			})
		}
		turn(false)
		r.gateway(map[string]bool{"web-1": true, "web-2": true}, nil)
		r.look()
		if n := len(r.ordered()); n != 0 {
			t.Errorf("%d ordered for a service that is off", n)
		}
		turn(true)
		r.gateway(map[string]bool{"web-1": true, "web-2": true}, nil)
		r.look()
		if n := len(r.ordered()); n != 1 {
			t.Errorf("%d ordered once it is on", n)
		}
	})
}
