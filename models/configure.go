package models

// configured tells the provider's history what the configuration made of a
// record: nothing where it is as it was, for every start applies the whole
// file. Secrets don't belong in before and after.
func (w *Writer) configured(o Object, before, after map[string]any) error {
	was, err := canonical(before)
	if err != nil {
		return err
	}
	is, err := canonical(after)
	if err != nil || was == is {
		return err
	}
	return w.recordFor(ProviderOrg, configuring(o, before, after))
}

func configuring(o Object, before, after map[string]any) Event {
	return Event{Action: ActionConfigChange, Outcome: OutcomeSucceeded, Object: o, Before: before, After: after}
}
