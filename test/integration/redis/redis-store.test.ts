import { storeContract } from '../../contract/store.contract.js'
import {
  openCluster,
  openOldestCluster,
  openOldestStandalone,
  openStandalone,
  type RedisLab,
} from '../../support/redis-lab.js'

function once(open: () => RedisLab): () => RedisLab {
  let lab: RedisLab | undefined
  return () => (lab ??= open())
}

storeContract('RedisStore, standalone', once(openStandalone))
storeContract('RedisStore, cluster of 3', once(openCluster))
storeContract('RedisStore, standalone, oldest ioredis, with a prefix', once(openOldestStandalone))
storeContract('RedisStore, cluster of 3, oldest ioredis, with a prefix', once(openOldestCluster))
