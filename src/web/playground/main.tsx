/** The page /playground. */
import { useEffect, useState } from 'preact/hooks';

import { inBackground } from '../../background.ts';
import { Control, type ControlError } from '../shell/control.ts';
import { Notice } from '../shell/notice.tsx';
import { Page, showPage } from '../shell/page.tsx';
import { TokenDialog } from '../shell/token-dialog.tsx';

type Info = { readonly gateway: string; readonly version: string; readonly state: string };

const control = new Control();

function PlaygroundPage() {
  const [info, setInfo] = useState<Info | null>(null);
  const [error, setError] = useState<ControlError | null>(null);
  const load = (): void => {
    const asked = control.call<Info>('GetInfo').then((found) => {
      setInfo(found);
      setError(null);
    });
    inBackground(asked, (problem) => {
      setError(problem as ControlError);
    });
  };
  useEffect(load, []);
  return (
    <Page name="playground" gateway={info?.gateway ?? ''}>
      {error?.needsToken === true && (
        <TokenDialog
          error={control.hasToken ? error.message : ''}
          onClose={() => {}}
          onToken={(token) => {
            control.setToken(token);
            load();
          }}
        />
      )}
      {error !== null && !error.needsToken && <Notice tone="bad">{error.message}</Notice>}
      {info !== null && (
        <Notice tone="good">
          {info.gateway} {info.version}: {info.state}
        </Notice>
      )}
    </Page>
  );
}

showPage(<PlaygroundPage />);
